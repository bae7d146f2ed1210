"""The keys of the customer API: made and revoked by staff, found by what a request presents.

Promises: a key is random, 256 bits; of it only a hash is kept, so who reads the table can use none; it is shown to who makes it,
once. A key that was revoked, or has expired, ends with the next request. How long a refusal takes says nothing about a key.
"""

import datetime as dt
import hashlib
import ipaddress
import re
import secrets
from collections.abc import Collection

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.crypto import constant_time_compare

from apps.core import audit, clock, retention
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.operations.models import CustomerApiKey

FORM = re.compile(r"fdk_([0-9a-f]{8})_[0-9a-f]{64}")
LONGEST_DAYS, MOST_NETWORKS = 1_096, 20
USED_SECONDS = 60  # how exactly the last use is known; each is one write
NOBODYS = "0" * 64  # what a key that is none is compared with


def register() -> None:
    """Our row of the retention table."""
    retention.register("api_keys", lambda before: retention.delete_in_batches(ended(before)), ended)


def ended(before: dt.datetime) -> QuerySet[CustomerApiKey]:
    """Keys that have not been valid since then."""
    return CustomerApiKey.objects.filter(Q(revoked_at__lt=before) | Q(expires_at__lt=before))


@transaction.atomic
def make_key(
    *,
    name: str,
    scopes: Collection[str],
    networks: Collection[str],
    expires_at: dt.datetime,
    actor: str,
    reason: str,
) -> tuple[CustomerApiKey, str]:
    """A new key: its row, and the key itself, which nobody can read again."""
    now = clock.now()
    if not now < expires_at <= now + dt.timedelta(days=LONGEST_DAYS):
        raise BadInput(f"Let it end within {LONGEST_DAYS} days.", field="expires_at")
    prefix = secrets.token_hex(4)
    text = f"fdk_{prefix}_{secrets.token_hex(32)}"
    key = CustomerApiKey.objects.create(
        name=name, prefix=prefix, digest=digest_of(text), scopes=sorted({*scopes, CustomerApiKey.Scope.READ}),
        networks=read_networks(networks), created_at=now, created_by=actor[:150], expires_at=expires_at,
    )  # fmt: skip
    terms = {"prefix": prefix, "scopes": key.scopes, "networks": key.networks, "expires_at": expires_at.isoformat()}
    audit.record(subject=subject_of(key), action=AuditAction.API_KEY_MADE, actor=actor, reason=reason, after=terms)
    return key, text


def refuse_revoking(key: CustomerApiKey) -> str:
    """Why it cannot be revoked, as a sentence; empty: it can."""
    return "It was revoked already." if key.revoked_at else ""


@transaction.atomic
def revoke_key(key: CustomerApiKey, *, actor: str, reason: str) -> None:
    """End a key now; BadInput when it was revoked before."""
    row = CustomerApiKey.objects.select_for_update().get(pk=key.pk)
    if refusal := refuse_revoking(row):
        raise BadInput(refusal)
    row.revoked_at, row.revoked_by = clock.now(), actor[:150]
    row.save(update_fields=["revoked_at", "revoked_by"])
    audit.record(subject=subject_of(key), action=AuditAction.API_KEY_REVOKED, actor=actor, reason=reason)


def read_networks(networks: Collection[str]) -> list[str]:
    """Networks and addresses as they are stored; BadInput for what is neither, and for too many."""
    if len(networks) > MOST_NETWORKS:
        raise BadInput(f"Name at most {MOST_NETWORKS} networks.", field="networks")
    try:
        return [str(ipaddress.ip_network(one.strip(), strict=False)) for one in networks]
    except ValueError as error:
        raise BadInput(
            "Name networks such as 192.0.2.0/24 or 2001:db8::/48, one in a line.", field="networks"
        ) from error


def find_key(presented: str) -> CustomerApiKey | None:
    """The key that this text is, whether it is still valid or not; None for any other. One query for what has a key's form."""
    found = FORM.fullmatch(presented)
    key = CustomerApiKey.objects.filter(prefix=found[1]).first() if found else None
    is_same = constant_time_compare(digest_of(presented), key.digest if key else NOBODYS)
    return key if key and is_same else None


def note_use(key: CustomerApiKey) -> None:
    """That it was used now; at most one write in a minute."""
    now = clock.now()
    since = now - dt.timedelta(seconds=USED_SECONDS)
    if key.last_used_at is None or key.last_used_at < since:
        fresh = Q(last_used_at=None) | Q(last_used_at__lt=since)
        CustomerApiKey.objects.filter(fresh, pk=key.pk).update(last_used_at=now)


def digest_of(text: str) -> str:
    """What is kept of a key: a plain hash is enough for what cannot be guessed."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def subject_of(key: CustomerApiKey) -> tuple[str, int]:
    """How the audit trail names it."""
    return "customerapikey", key.pk
