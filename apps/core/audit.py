"""The audit trail: one append-only entry per change that matters, written in the transaction of the change.

The entries of one subject form a hash chain, so that a removed or altered entry shows. An entry can never be taken back, so
it keeps ids and the names of fields, never a customer's name or address: `fingerprint` says whether a value is the same one,
and an address that staff type into a reason is left out. Staff are named: they answer for what they do.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.utils.crypto import salted_hmac

from apps.core import clock, origins
from apps.core.audit_actions import AuditAction
from apps.core.locks import LOCK_TEXTS, LockClass
from apps.core.logs import ADDRESS
from apps.core.models import AuditEntry

SYSTEM = "system"
CUSTOMER = "customer"
LEFT_OUT = "[address]"  # instead of an email address
FINGERPRINT = "_fingerprint"  # ends the name of a value that says nothing to people
_approver: ContextVar[str] = ContextVar("approver", default="")


# One execution, two statements: the second sees what was written while the first waited for the chain.
APPEND = f"""
{LOCK_TEXTS};
INSERT INTO core_auditentry (at, subject_kind, subject_id, action, actor, reason, before, after, request_id, prev_hash, hash)
SELECT %(at)s, %(kind)s, one.id, %(action)s, %(actor)s, %(reason)s, %(before)s::jsonb, %(after)s::jsonb, %(request)s, last.hash,
    encode(sha256(convert_to('["' || last.hash || one.rest, 'UTF8')), 'hex')
FROM unnest(%(ids)s::text[], %(rests)s::text[]) AS one (id, rest),
LATERAL (SELECT COALESCE((SELECT hash FROM core_auditentry WHERE subject_kind = %(kind)s AND subject_id = one.id
    ORDER BY id DESC LIMIT 1), '') AS hash) AS last
"""  # noqa: S608


def record(
    *,
    subject: tuple[str, str | int],
    action: AuditAction,
    actor: str = SYSTEM,
    reason: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Append one line about `subject` = (kind, id). `before` and `after` hold JSON values, no secrets and nothing personal.

    It locks the subject's chain until the caller's transaction ends, so rows of the subject are changed before, never after:
    two callers in different order would wait for each other.
    """
    _append(subject[0], [subject[1]], (str(action), actor[:150], reason[:500], before or {}, after or {}))


@contextmanager
def approved_by(name: str) -> Iterator[None]:
    """Each line that is recorded inside names, beside the one who asked, who approved it."""
    before = _approver.set(name)
    try:
        yield
    finally:
        _approver.reset(before)


def current_approver() -> str:
    """Who approved what is done now; empty: nobody had to."""
    return _approver.get()


def record_hourly(
    *,
    subject: tuple[str, str | int],
    action: AuditAction,
    actor: str,
    reason: str = "",
    after: dict[str, Any] | None = None,
) -> None:
    """`record`, unless the same actor has a line of the last hour that says the same: for what may happen at each click."""
    kind, identity = subject[0], str(subject[1])[:64]
    reason, after = _without_addresses(reason), _without_addresses(after or {})
    same = entries_about((kind, identity)).filter(actor=actor[:150], action=action, reason=reason)
    if not same.filter(at__gt=clock.now() - dt.timedelta(hours=1), after=after).exists():
        record(subject=(kind, identity), action=action, actor=actor, reason=reason, after=after)


def record_many(  # noqa: PLR0913  (all of a line)
    *,
    kind: str,
    ids: Collection[str | int],
    action: AuditAction,
    actor: str,
    reason: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """`record` the same of many subjects of one kind, in one statement. At most 1,000 in one transaction: each is locked."""
    _append(kind, ids, (str(action), actor[:150], reason[:500], before or {}, after or {}))


def _append(kind: str, ids: Collection[str | int], said: tuple[str, str, str, dict[str, Any], dict[str, Any]]) -> None:
    """`said`: action, actor, reason, before and after."""
    now, subjects = clock.now(), list(dict.fromkeys(str(one) for one in ids))
    action, actor, *texts = said
    reason, before, after = _without_addresses(texts)
    if name := _approver.get():
        after = after | {"approved_by": name}
    said = (action, actor, reason, before, after)
    values: dict[str, Any] = {
        "lock": LockClass.AUDIT_CHAIN,
        "keys": [f"{kind}:{one}" for one in subjects],
        "at": now,
        "kind": kind,
        "action": action,
        "actor": actor,
        "reason": reason,
        "before": json.dumps(before),
        "after": json.dumps(after),
        "request": origins.request_or_run(),
        "ids": subjects,
        "rests": [_hashed_text("", now, kind, one, *said)[2:] for one in subjects],
    }
    with connection.cursor() as cursor:
        cursor.execute(APPEND, values)


def entries_about(subject: tuple[str, str | int]) -> QuerySet[AuditEntry]:
    """What was recorded about `subject` = (kind, id)."""
    kind, identity = subject
    return AuditEntry.objects.filter(subject_kind=kind, subject_id=str(identity))


def fingerprint(text: str) -> str:
    """A keyed hash, which tells whether a name or an address is this one, and to nobody without the key what it is."""
    return salted_hmac("frontdesk.audit", text, algorithm="sha256").hexdigest()[:32]


def _without_addresses(value: Any) -> Any:
    if isinstance(value, str):
        return ADDRESS.sub(LEFT_OUT, value)
    if isinstance(value, dict):
        return {name: _without_addresses(one) for name, one in value.items()}
    return [_without_addresses(one) for one in value] if isinstance(value, list) else value


def _hashed_text(prev_hash: str, at: dt.datetime, *rest: Any) -> str:
    """What is hashed of a line: the JSON list of its predecessor's hash and its own values."""
    return json.dumps([prev_hash, at.isoformat(), *rest], sort_keys=True, default=str)


def digest(entry: AuditEntry) -> str:
    """SHA-256 over the line and its predecessor's hash, in hexadecimal."""
    own = (entry.subject_kind, entry.subject_id, entry.action, entry.actor, entry.reason, entry.before, entry.after)
    return hashlib.sha256(_hashed_text(entry.prev_hash, entry.at, *own).encode()).hexdigest()
