"""Attention items: what only staff can fix, one open item for each cause, whatever found it.

Promises: reporting the same cause again joins the open item (it counts, and adds the subscribers it affects); an item ends
when what found it says so (`resolve`) or when staff close it with a reason; a cause that returns after that opens a new one.
Staff may assign an open item, snooze it until a day or ignore it: new reports join it and change nothing about that.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import structlog
from django.db import connection, models

from apps.core import audit, clock
from apps.core.audit_actions import AuditAction
from apps.core.models import AttentionItem

log = structlog.get_logger(__name__)

KEY_LENGTH = 300  # the longest id of Stripe's, with its kind
MAX_PROFILES = 500  # named in one item; the item still counts every report


class Cause(models.TextChoices):
    """What kind of thing needs staff: the stored value, and the heading staff read."""

    PAGE_REFUSED = "page_refused", "A customer's page could not go on"
    MIRROR_COPY = "mirror_copy", "A Stripe object could not be copied"
    UNKNOWN_FACT = "unknown_fact", "Stripe sent something we cannot interpret"
    UNMAPPED_PRICE = "unmapped_price", "A paid price belongs to no product"
    PRICE_WITHDRAWN = "price_withdrawn", "A price is no longer offered"
    API_VERSION = "api_version", "Stripe's webhook endpoint speaks another API version"
    SECOND_SUBSCRIPTION = "second_subscription", "One person pays twice"
    PAID_WITHOUT_ACCOUNT = "paid_without_account", "Somebody pays without an account"
    PAID_AFTER_END = "paid_after_end", "A payment came after the subscription had ended"
    DISPUTE = "dispute", "A payment is disputed"
    CONTRACT = "contract", "A customer ended a contract, and somebody has to finish it"
    COLLECTION_PAUSED = "collection_paused", "Payment collection is paused"
    ACCOUNT_REFUSED = "account_refused", "Keycloak refuses an account"
    ADDRESS_OBJECTED = "address_objected", "A customer did not change their address, somebody else did"
    PRODUCT_ACCOUNT_LOST = "product_account_lost", "An account was gone from a product"
    WEBHOOK_REFUSED = "webhook_refused", "A product refuses our webhooks"
    UNREACHABLE = "unreachable", "A subscriber's emails do not arrive"
    UNWARNED_LOSS = "unwarned_loss", "Access ends, and our warnings did not arrive"
    DOCTOR = "doctor", "The doctor found an error"
    ODD_CHANGE = "odd_change", "Access changed in a way it never should"
    SAFEGUARD = "safeguard", "A sweep waits for an approval"
    INCIDENT = "incident", "Incident mode has run for long"
    LIMIT_REACHED = "limit_reached", "A limit for everybody was reached"
    ALERT_FAILED = "alert_failed", "An alert did not get through"
    HOST_GONE = "host_gone", "A host with workers is gone"
    HOST_NAME = "host_name", "Two hosts have one name"
    COMPARISON = "comparison", "A comparison with Stripe or Keycloak has not ended"
    RETENTION = "retention", "Data is older than it may be"
    BACKUP = "backup", "A backup or a restore drill is missing"
    RESTORED = "restored", "The database was restored"
    AUDIT = "audit", "The audit trail was altered"
    IMPORT_LEFT = "import_left", "An import was begun and never finished"
    LAW = "law", "A law is violated"


# What is told of these is told of the one subscriber they affect; of all others it may name several.
ABOUT_ONE_PERSON = frozenset({
    Cause.UNKNOWN_FACT, Cause.SECOND_SUBSCRIPTION, Cause.PAID_WITHOUT_ACCOUNT, Cause.PAID_AFTER_END, Cause.DISPUTE, Cause.CONTRACT,
    Cause.COLLECTION_PAUSED, Cause.ADDRESS_OBJECTED, Cause.ACCOUNT_REFUSED, Cause.UNREACHABLE, Cause.UNWARNED_LOSS, Cause.ODD_CHANGE,
    Cause.PRODUCT_ACCOUNT_LOST,
})  # fmt: skip


def cause_label(cause: str) -> str:
    """A stored cause as staff read it."""
    return Cause(cause).label if cause in Cause.values else cause.replace("_", " ").capitalize()


_fine: ContextVar[list[tuple[str, str, str]] | None] = ContextVar("fine", default=None)

REPORT = """
INSERT INTO core_attentionitem AS item (cause, key, sentence, profile_ids, times, first_at, last_at, resolution)
VALUES (%(cause)s, %(key)s, %(sentence)s, %(profiles)s, 1, %(now)s, %(now)s, '')
ON CONFLICT (cause, key) WHERE resolved_at IS NULL DO UPDATE SET
    sentence = excluded.sentence, times = item.times + 1, last_at = excluded.last_at,
    profile_ids = CASE WHEN item.profile_ids @> excluded.profile_ids OR cardinality(item.profile_ids) >= %(most)s
                       THEN item.profile_ids
                       ELSE (SELECT array_agg(DISTINCT one) FROM unnest(item.profile_ids || excluded.profile_ids) one) END
RETURNING id, times
"""


def report(cause: Cause, key: str, sentence: str, *, profiles: Iterable[int] = ()) -> int:
    """Open the item of this cause, or join the open one; returns its id. Part of the caller's transaction.

    `key` tells causes of one kind apart ("sub_123", "invoice copy"); `sentence` says what is wrong and what to do, for
    staff, without email addresses; `profiles` are the subscribers it affects.
    """
    values: dict[str, Any] = {
        "cause": str(cause), "key": key[:KEY_LENGTH], "sentence": sentence[:1000], "profiles": sorted(set(profiles)), "now": clock.now(),
        "most": MAX_PROFILES,
    }  # fmt: skip
    if waiting := _fine.get():
        waiting[:] = [one for one in waiting if one[:2] != (values["cause"], values["key"])]
    with connection.cursor() as cursor:
        cursor.execute(REPORT, values)
        item, times = cursor.fetchone()
    if times == 1:
        log.warning("attention_needed", cause=str(cause), key=key[:KEY_LENGTH], item=item)
    return int(item)


def resolve(cause: Cause, *keys: str, why: str = "It no longer applies.") -> bool:
    """End the open items of these keys: what found them says that all is well again. Returns whether there were any."""
    return _end(AttentionItem.objects.filter(cause=cause, key__in=[key[:KEY_LENGTH] for key in keys]), why)


END_TOGETHER = """
UPDATE core_attentionitem AS item SET resolved_at = %(now)s, resolution = fine.why
FROM unnest(%(causes)s::text[], %(keys)s::text[], %(whys)s::text[]) AS fine (cause, key, why)
WHERE item.resolved_at IS NULL AND item.cause = fine.cause AND item.key = fine.key
"""


def resolve_soon(cause: Cause, *keys: str, why: str = "It no longer applies.") -> None:
    """`resolve`, inside `resolving_together` with its end: for checks that pass nearly always."""
    waiting = _fine.get()
    if waiting is None:
        resolve(cause, *keys, why=why)
    else:
        waiting += [(str(cause), key[:KEY_LENGTH], why[:300]) for key in keys]


@contextmanager
def resolving_together() -> Iterator[None]:
    """End in one statement what is resolved inside by `resolve_soon`; nothing when the work inside fails."""
    if _fine.get() is not None:
        yield
        return
    token = _fine.set([])
    try:
        yield
        waiting = _fine.get()
    finally:
        _fine.reset(token)
    if waiting:
        causes, keys, whys = (list(column) for column in zip(*waiting, strict=True))
        with connection.cursor() as cursor:
            cursor.execute(END_TOGETHER, {"now": clock.now(), "causes": causes, "keys": keys, "whys": whys})


def resolve_all_but(cause: Cause, keys: Collection[str] | models.QuerySet[Any, Any], *, why: str) -> bool:
    """End the open items of a cause that are about nothing of `keys` any more."""
    return _end(AttentionItem.objects.filter(cause=cause).exclude(key__in=keys), why)


def _end(items: models.QuerySet[AttentionItem], why: str) -> bool:
    return bool(items.filter(resolved_at=None).update(resolved_at=clock.now(), resolution=why[:300]))


def close(item: AttentionItem, *, actor: str, reason: str) -> None:
    """Staff end an item by hand."""
    resolve(Cause(item.cause), item.key, why=f"{actor}: {reason}")
    audit.record(subject=("attention", item.pk), action=AuditAction.ATTENTION_CLOSED, actor=actor, reason=reason)


def open_items() -> models.QuerySet[AttentionItem]:
    """All that has not ended, snoozed and ignored items too; the latest first."""
    return AttentionItem.objects.filter(resolved_at=None).order_by("-last_at", "-pk")


def needing_staff() -> models.QuerySet[AttentionItem]:
    """The open items that are not ignored, and not snoozed now."""
    return open_items().filter(models.Q(snoozed_until=None) | models.Q(snoozed_until__lte=clock.now()), ignored_at=None)


# --- what staff decide about open items ------------------------------------------------------------------------------

Items = models.QuerySet[AttentionItem]


def assign(items: Items, *, assignee: str, actor: str, reason: str) -> int:
    """Say who of staff deals with these items ("": nobody yet); returns how many are open."""
    return _decide(items, AuditAction.ATTENTION_ASSIGNED, {"assignee": assignee}, actor=actor, reason=reason)


def snooze(items: Items, *, until: dt.datetime, actor: str, reason: str) -> int:
    """Take these items out of the inbox until then; returns how many are open."""
    changes = {"snoozed_until": until, "ignored_at": None, "decision": f"{actor}: {reason}"}
    return _decide(items, AuditAction.ATTENTION_SNOOZED, changes, actor=actor, reason=reason)


def ignore(items: Items, *, actor: str, reason: str) -> int:
    """Take these items out of the inbox for as long as they are open; returns how many are."""
    changes = {"snoozed_until": None, "ignored_at": clock.now(), "decision": f"{actor}: {reason}"}
    return _decide(items, AuditAction.ATTENTION_IGNORED, changes, actor=actor, reason=reason)


def bring_back(items: Items, *, actor: str, reason: str) -> int:
    """Undo a snooze, or that they are ignored; returns how many are open."""
    changes = {"snoozed_until": None, "ignored_at": None, "decision": ""}
    return _decide(items, AuditAction.ATTENTION_BROUGHT_BACK, changes, actor=actor, reason=reason)


def _decide(items: Items, action: AuditAction, changes: dict[str, Any], *, actor: str, reason: str) -> int:
    """Change the open ones, with a line in the audit trail for each. Part of the caller's transaction."""
    found = list(items.filter(resolved_at=None).order_by("pk").select_for_update(of=("self",)))
    AttentionItem.objects.filter(pk__in=[one.pk for one in found]).update(**changes)
    for one in found:
        before = _told({name: getattr(one, name) for name in changes})
        audit.record(
            subject=("attention", one.pk),
            action=action,
            actor=actor,
            reason=reason,
            before=before,
            after=_told(changes),
        )
    return len(found)


def _told(values: dict[str, Any]) -> dict[str, Any]:
    """As the audit trail has them: moments as text, and the reason only once."""
    plain = ((name, one.isoformat() if isinstance(one, dt.datetime) else one) for name, one in values.items())
    return {name: one for name, one in plain if name != "decision"}
