"""The law of records: whatever changed, the audit trail says so. Of access itself, access/laws_history.py says more."""

from apps.access.models import AccessOverride
from apps.core import laws
from apps.core.laws import Checked, Law, LawSeverity, Scope
from apps.instances.models import Seat

# A seat came to be where it is, and in its state, by a line that says so.
SEATS = """
SELECT s.id, s.profile_id, s.state, i.slug FROM instances_seat s JOIN instances_instance i ON i.id = s.instance_id
LEFT JOIN (
    SELECT DISTINCT subject_id::bigint AS profile, action, after ->> 'instance' AS slug FROM core_auditentry
    WHERE subject_kind = 'profile' AND action IN ('seat_reserved', 'seat_assigned', 'seat_retained', 'seat_released', 'seat_moved')
        AND (%(one)s::text IS NULL OR subject_id = %(one)s)) AS said
    ON said.profile = s.profile_id AND said.slug = i.slug AND said.action IN ('seat_' || s.state, 'seat_moved')
WHERE said.profile IS NULL AND (%(one)s::text IS NULL OR s.profile_id = %(one)s::bigint)
"""
OVERRIDES = """
SELECT o.profile_id, o.profile_id, o.made, o.lifted, coalesce(said.added, 0), coalesce(said.ended, 0) FROM (
    SELECT profile_id, count(*) AS made, count(lifted_at) AS lifted FROM access_accessoverride
    WHERE %(one)s::text IS NULL OR profile_id = %(one)s::bigint GROUP BY 1) AS o
LEFT JOIN (
    SELECT subject_id::bigint AS id, count(*) FILTER (WHERE action = 'override_added') AS added,
        count(*) FILTER (WHERE action = 'override_ended') AS ended
    FROM core_auditentry WHERE subject_kind = 'profile' AND action IN ('override_added', 'override_ended') GROUP BY 1) AS said
    ON said.id = o.profile_id
WHERE o.made > coalesce(said.added, 0) OR o.lifted > coalesce(said.ended, 0)
"""


def register() -> None:
    """Add it."""
    laws.register(
        Law(
            "L11",
            "Every change has its record",
            "Each seat is where and as a line of the audit trail put it, and each override was added and ended by one.",
            LawSeverity.URGENT,
            check_records,
            period_seconds=laws.HOUR,
        )
    )


def check_records(scope: Scope) -> Checked:
    """L11."""
    values = {"one": None if scope.subscriber_id is None else str(scope.subscriber_id)}
    looked_at = (
        scope.narrow(Seat.objects.all(), "profile").count()
        + scope.narrow(AccessOverride.objects.all(), "profile").count()
    )
    return laws.combine(
        looked_at,
        laws.judge_sql(0, SEATS, values, kind="seat", words=_say_seat),
        laws.judge_sql(0, OVERRIDES, values, kind="profile", words=_say_overrides),
    )


def _say_seat(state: str, instance: str) -> str:
    return f"A seat on {instance} is {state}, and no line of the audit trail says how."


def _say_overrides(made: int, lifted: int, added: int, ended: int) -> str:
    return f"A subscriber has {made} overrides, {lifted} of them ended; the audit trail has {added} added and {ended} ended."
