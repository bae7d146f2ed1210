"""Verifies the chains of the audit trail: is every entry the one that was written, and does it follow its predecessor?

Once, names were taken out of old entries (migration 0019). Such an entry keeps its hash, so the chain and every anchor of before
still hold; what it says now is proven by a later entry of its chain, `names_removed`, which lists the digests.
"""

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet

from apps.core.audit import digest, entries_about
from apps.core.audit_actions import AuditAction
from apps.core.models import AuditEntry

# Only entries of these actions held names: nobody can pass off another one, as of a hold or a grant, as such an entry.
HELD_NAMES = frozenset(
    {
        AuditAction.ACCOUNT_CORRECTED,
        AuditAction.DRIFT_FOUND,
        AuditAction.DRIFT_FIXED,
        AuditAction.SIGNED_UP,
        AuditAction.TEST_EMAIL_REQUESTED,
    }
)


@dataclass(frozen=True)
class Break:
    """An entry that does not fit its chain."""

    entry_id: int
    subject: str
    at: dt.datetime
    problem: str


@dataclass
class ChainCheck:
    """What a walk over entries found."""

    entries: int = 0
    chains: int = 0
    without_names: int = 0
    breaks: list[Break] = field(default_factory=list)
    _removals: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)

    def add(self, entry: AuditEntry, predecessor: str) -> None:
        """Verify one entry; `predecessor` is the hash of the one before it in its chain, or empty."""
        self.entries += 1
        problem = ""
        if (now := digest(entry)) != entry.hash:
            is_documented = self._removed(entry).get(str(entry.pk)) == now
            self.without_names += is_documented
            problem = "" if is_documented else "was altered"
        if not problem and entry.prev_hash != predecessor:
            problem = "follows one that is gone"
        if problem:
            self.breaks.append(Break(entry.pk, f"{entry.subject_kind} {entry.subject_id}", entry.at, problem))

    def _removed(self, entry: AuditEntry) -> dict[str, str]:
        """By id, the digests of the entries of this chain that names were taken out of."""
        if entry.action not in HELD_NAMES:
            return {}
        chain = entry.subject_kind, entry.subject_id
        if chain not in self._removals:
            said = entries_about(chain).filter(action=AuditAction.NAMES_REMOVED)
            self._removals = {chain: _join(one.after["entries"] for one in said if digest(one) == one.hash)}
        return self._removals[chain]


def _join(parts: Iterable[dict[str, str]]) -> dict[str, str]:
    return {name: value for part in parts for name, value in part.items()}


def check_chains(entries: QuerySet[AuditEntry] | None = None) -> ChainCheck:
    """Compute every hash again, chain by chain; `entries`: whole chains, else all. Entries cut off the end of a chain show by an
    anchor alone.
    """
    found, chain, last = ChainCheck(), ("", ""), ""
    for entry in _by_chain(AuditEntry.objects.all() if entries is None else entries):
        if (entry.subject_kind, entry.subject_id) != chain:
            found.chains, chain, last = found.chains + 1, (entry.subject_kind, entry.subject_id), ""
        found.add(entry, last)
        last = entry.hash
    return found


def _by_chain(entries: QuerySet[AuditEntry]) -> Iterator[Any]:
    return entries.order_by("subject_kind", "subject_id", "id").iterator(chunk_size=2_000)
