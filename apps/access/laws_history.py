"""The law of the recorded history of access: each change is one the policy can bring about, and none is missing."""

from apps.accounts.models import UserProfile
from apps.core.audit_actions import AuditAction
from apps.core.laws import Checked, Law, LawSeverity, Scope, judge_sql, register
from apps.core.states import POSSIBLE_CHANGES, AccessState

# Of each change where it began (`was`), where it led, and where the one before it had led. `held` is what a hold was called once.
CHANGES = """
SELECT id, subject_id::bigint AS profile_id, replace(before->>'state', 'held', %(hold)s) AS was,
    replace(after->>'state', 'held', %(hold)s) AS became,
    lag(replace(after->>'state', 'held', %(hold)s), 1, %(none)s) OVER one AS came_to, lead(id) OVER one IS NULL AS is_last
FROM core_auditentry WHERE subject_kind = 'profile' AND action = %(action)s AND (%(one)s::text IS NULL OR subject_id = %(one)s)
WINDOW one AS (PARTITION BY subject_id ORDER BY id)
"""
BROKEN = f"""
WITH changes AS MATERIALIZED ({CHANGES}), possible AS (
    SELECT was, became FROM unnest(%(from)s::text[], %(to)s::text[]) AS each (was, became))
SELECT p.id, p.id AS subscriber, c.id AS entry, c.was, c.became, c.came_to, p.access_state,
    (c.was, c.became) IN (SELECT was, became FROM possible)
FROM changes c JOIN accounts_userprofile p ON p.id = c.profile_id
WHERE (c.was, c.became) NOT IN (SELECT was, became FROM possible) OR c.was IS DISTINCT FROM c.came_to
    OR (c.is_last AND c.became IS DISTINCT FROM p.access_state)
UNION ALL
SELECT p.id, p.id, NULL, NULL, NULL, NULL, p.access_state, true FROM accounts_userprofile p
WHERE p.access_state <> %(none)s AND (%(one)s::text IS NULL OR p.id = %(one)s::bigint)
    AND NOT EXISTS (SELECT FROM changes c WHERE c.profile_id = p.id)
"""  # noqa: S608


def register_laws() -> None:
    """Make the law of this module known."""
    register(
        Law(
            number="L17",
            title="Changes of access are possible ones",
            sentence="Each recorded change of access is one the policy can bring about and begins where the last one ended; the last one led to the present state.",
            severity=LawSeverity.URGENT,
            check=check_changes,
        )
    )


def check_changes(scope: Scope) -> Checked:
    """L17. Each change is recorded in the transaction that makes it, so nothing waits."""
    pairs = sorted((was.value, became.value) for was, became in POSSIBLE_CHANGES)
    values = {
        "hold": AccessState.ON_HOLD.value, "none": AccessState.NONE.value, "action": AuditAction.ACCESS_CHANGED.value,
        "from": [was for was, _ in pairs], "to": [became for _, became in pairs],
        "one": None if scope.subscriber_id is None else str(scope.subscriber_id),
    }  # fmt: skip
    people = scope.narrow(UserProfile.objects.all())
    return judge_sql(people, BROKEN, values, kind="profile", words=_describe)


def _describe(entry: int | None, was: str, became: str, came_to: str, state: str, possible: bool) -> str:
    if entry is None:
        return f"Access is “{_label(state)}”, and no line of the timeline says how it became so."
    if not possible:
        return f"Line {entry}: access changed from “{_label(was)}” to “{_label(became)}”, which the policy never does."
    if was != came_to:
        return f"Line {entry}: access changed from “{_label(was)}”, but the line before had left it at “{_label(came_to)}”."
    return f"Line {entry}: access became “{_label(became)}”, but it is “{_label(state)}” now."


def _label(state: str) -> str:
    return AccessState(state).label if state in AccessState else state
