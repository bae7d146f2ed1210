"""The law of the audit trail: it only grows.

What was altered long ago is found by the daily anchors, which compute every hash again; here the newest entries are, and that each
entry follows its predecessor.
"""

from django.db import connection

from apps.core import attention, laws
from apps.core.audit import digest
from apps.core.audit_chains import ChainCheck
from apps.core.laws import Checked, Law, LawSeverity, LawViolation, Scope
from apps.core.models import AttentionItem, AuditEntry

NEWEST = 2_000  # entries whose hashes are computed again
TRIGGERS: tuple[str, ...] = ("core_auditentry_no_change", "core_auditentry_no_truncate")
GUARDS = "SELECT tgname FROM pg_trigger WHERE tgrelid = 'core_auditentry'::regclass AND tgenabled = 'O'"
# In the order of the index of subjects, so nothing is sorted.
UNLINKED = """
SELECT id, CASE WHEN subject_kind = 'profile' THEN subject_id::bigint END, subject_kind, subject_id FROM (
    SELECT id, subject_kind, subject_id, prev_hash,
        lead(hash) OVER (PARTITION BY subject_kind, subject_id ORDER BY id DESC) AS before
    FROM core_auditentry WHERE %(subject)s::text IS NULL OR (subject_kind = 'profile' AND subject_id = %(subject)s)) AS entry
WHERE prev_hash <> coalesce(before, '')
"""


def register() -> None:
    """Add it."""
    laws.register(
        Law(
            "L12",
            "The audit trail only grows",
            "No entry of the audit trail was altered or removed, and the database refuses to.",
            LawSeverity.URGENT,
            check_trail,
            period_seconds=laws.HOUR,
        )
    )


def check_trail(scope: Scope) -> Checked:
    """L12."""
    subject = None if scope.subscriber_id is None else str(scope.subscriber_id)
    entries = AuditEntry.objects.all()
    if subject is not None:
        entries = entries.filter(subject_kind="profile", subject_id=subject)
    unlinked = laws.judge_sql(
        0, UNLINKED, {"subject": subject}, kind="auditentry",
        words=lambda kind, one: f"An entry of {kind} {one} does not follow the one before it.",
    )  # fmt: skip
    newest = list(entries.order_by("-pk")[:NEWEST])
    altered = [one for one in newest if digest(one) != one.hash and not _is_documented(one)]
    return laws.combine(
        entries, unlinked, _as_checked([_altered(one) for one in altered]), _as_checked(_find_open_ways())
    )


def _is_documented(entry: AuditEntry) -> bool:
    """Whether names were taken out of it, as a later entry of its chain says."""
    found = ChainCheck()
    found.add(entry, entry.prev_hash)
    return not found.breaks


def _altered(one: AuditEntry) -> LawViolation:
    subscriber = int(one.subject_id) if one.subject_kind == "profile" else None
    return LawViolation(
        "auditentry", str(one.pk), subscriber, f"An entry of {one.subject_kind} {one.subject_id} was altered."
    )


def _find_open_ways() -> list[LawViolation]:
    """Guards of the table that are missing or switched off, and what the daily anchors found."""
    with connection.cursor() as cursor:
        cursor.execute(GUARDS)
        there = {name for (name,) in cursor.fetchall()}
    missing = [
        LawViolation("trigger", name, None, f"The trigger {name} is missing or switched off.")
        for name in TRIGGERS
        if name not in there
    ]
    items = AttentionItem.objects.filter(cause=attention.Cause.AUDIT, resolved_at=None).order_by("pk")
    return missing + [LawViolation("attention", str(one.pk), None, one.sentence) for one in items]


def _as_checked(found: list[LawViolation]) -> Checked:
    return Checked(0, found, len(found))
