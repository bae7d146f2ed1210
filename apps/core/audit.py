"""The audit trail: one append-only entry per change that matters, written in the transaction of the change.

The entries of one subject form a hash chain, so that a removed or altered entry shows.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import structlog
from django.db import transaction

from apps.core import clock
from apps.core.audit_actions import AuditAction
from apps.core.locks import LockClass, lock_all_until_commit, lock_until_commit
from apps.core.models import AuditEntry

SYSTEM = "system"
CUSTOMER = "customer"


@transaction.atomic
def record(
    *,
    subject: tuple[str, str | int],
    action: AuditAction,
    actor: str = SYSTEM,
    reason: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> AuditEntry:
    """Append one line about `subject` = (kind, id) and return it. `before` and `after` hold JSON values, no secrets."""
    kind, identity = subject[0], str(subject[1])
    lock_until_commit(LockClass.AUDIT_CHAIN, f"{kind}:{identity}")
    chain = AuditEntry.objects.filter(subject_kind=kind, subject_id=identity).order_by("-id")
    entry = AuditEntry(
        at=clock.now(),
        subject_kind=kind,
        subject_id=identity,
        action=action,
        actor=actor[:150],
        reason=reason[:500],
        before=before or {},
        after=after or {},
        request_id=str(structlog.contextvars.get_contextvars().get("request_id", ""))[:64],
        prev_hash=chain.values_list("hash", flat=True).first() or "",
    )
    entry.hash = digest(entry)
    entry.save(force_insert=True)
    return entry


@transaction.atomic
def record_many(
    *,
    kind: str,
    ids: Collection[str | int],
    action: AuditAction,
    actor: str,
    reason: str = "",
    after: dict[str, Any] | None = None,
) -> None:
    """`record` the same of many subjects of one kind: three statements. At most 1,000 in one transaction: each is locked."""
    subjects = [str(one) for one in ids]
    lock_all_until_commit(LockClass.AUDIT_CHAIN, [f"{kind}:{one}" for one in subjects])
    chains = AuditEntry.objects.filter(subject_kind=kind, subject_id__in=subjects).order_by("subject_id", "-id")
    last = dict(chains.distinct("subject_id").values_list("subject_id", "hash"))
    request_id = str(structlog.contextvars.get_contextvars().get("request_id", ""))[:64]
    entries = [
        AuditEntry(
            at=clock.now(), subject_kind=kind, subject_id=one, action=action, actor=actor[:150], reason=reason[:500],
            before={}, after=after or {}, request_id=request_id, prev_hash=last.get(one, ""),
        )
        for one in subjects
    ]  # fmt: skip
    for entry in entries:
        entry.hash = digest(entry)
    AuditEntry.objects.bulk_create(entries)


def digest(entry: AuditEntry) -> str:
    """SHA-256 over the line and its predecessor's hash, in hexadecimal."""
    line = [
        entry.prev_hash,
        entry.at.isoformat(),
        entry.subject_kind,
        entry.subject_id,
        entry.action,
        entry.actor,
        entry.reason,
        entry.before,
        entry.after,
    ]
    return hashlib.sha256(json.dumps(line, sort_keys=True, default=str).encode()).hexdigest()


@dataclass(frozen=True)
class Break:
    """An entry that does not fit its chain."""

    entry_id: int
    subject: str
    at: dt.datetime
    problem: str


@dataclass
class ChainCheck:
    """What a walk over the whole trail found."""

    entries: int = 0
    chains: int = 0
    breaks: list[Break] = field(default_factory=list)


def check_chains() -> ChainCheck:
    """Compute every hash again, chain by chain. Entries cut off the end of a chain leave no trace in it."""
    found, subject, last = ChainCheck(), "", ""
    for entry in AuditEntry.objects.order_by("subject_kind", "subject_id", "id").iterator(chunk_size=2_000):
        name = f"{entry.subject_kind} {entry.subject_id}"
        if name != subject:
            found.chains, subject, last = found.chains + 1, name, ""
        altered, follows = digest(entry) != entry.hash, entry.prev_hash == last
        if altered or not follows:
            problem = "was altered" if altered else "follows one that is gone"
            found.breaks.append(Break(entry.pk, name, entry.at, problem))
        found.entries, last = found.entries + 1, entry.hash
    return found
