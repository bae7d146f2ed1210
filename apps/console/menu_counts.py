"""What waits for staff, counted: the badges of the menu and the label on every page. One query, kept for a few seconds."""

import datetime as dt
from dataclasses import dataclass
from typing import NamedTuple

from django.db import connection

from apps.console.problems import AS_JSON, Problem
from apps.console.saved_views import COUNT_LIMIT
from apps.core import clock
from apps.core.kept import Kept
from apps.core.law_checks import NEWEST
from apps.core.masking import SENTENCES, mask
from apps.operations.privacy_requests import SOON

KEPT_SECONDS = 5.0
SILENT_SECONDS = 90


def _count(rows: str) -> str:
    """SQL: how many rows there are, up to COUNT_LIMIT; `rows`: what follows FROM.

    They are in an order where Postgres might else look for them from the beginning of a table at whose end they are.
    """
    return f"(SELECT count(*) FROM (SELECT FROM {rows} LIMIT {COUNT_LIMIT}) counted)"  # noqa: S608


DUE = "state = 'queued' AND NOT waits_for_lane"
COUNTS = f"""
SELECT {_count(f"core_job WHERE {DUE} AND not_before <= %(now)s ORDER BY importance, not_before, id")} AS due,
       {_count("core_job WHERE state = 'running'")} AS running,
       {_count("core_job WHERE state IN ('blocked', 'dead')")} AS stuck,
       (SELECT min(not_before) FROM generate_series(0, 3) level, LATERAL (
            SELECT not_before FROM core_job WHERE {DUE} AND importance = level ORDER BY not_before LIMIT 1) first) AS due_since,
       {_count("billing_inboundevent WHERE state = 'received' ORDER BY id DESC")} AS events,
       (SELECT received_at FROM billing_inboundevent WHERE state = 'received' ORDER BY id LIMIT 1) AS events_since,
       {_count("instances_seatwait")} AS waits,
       (SELECT min(since) FROM instances_seatwait) AS waits_since,
       {_count("notifications_notification WHERE state IN ('failed', 'uncertain')")} AS emails_undelivered,
       {_count("accounts_userprofile WHERE pending_since IS NOT NULL")} AS pending,
       (SELECT min(pending_since) FROM accounts_userprofile WHERE pending_since IS NOT NULL) AS pending_since,
       (SELECT extract(epoch FROM clock_timestamp() - max(at))::float FROM core_heartbeat WHERE name LIKE 'cluster%%') AS silent_seconds,
       (SELECT count(*) FROM core_dependency) AS down_count,
       EXISTS (SELECT FROM core_dependency WHERE name = 'restored') AS is_paused,
       (SELECT count(*) FROM operations_safeguardreview WHERE state = 'pending') AS review_count,
       ({AS_JSON}) AS problems,
       {_count("operations_approvalrequest WHERE state = 'pending' AND expires_at > %(now)s")} AS approvals_waiting,
       {_count("access_heldbackloss")} AS held_back,
       {_count(f"accounts_privacyrequest WHERE state = 'open' AND due_on <= %(today)s + {SOON.days}")} AS privacy_due,
       (SELECT coalesce(json_agg(json_build_array(f.id, coalesce(p.name, ''), f.until, f.begun_at, f.begun_by, f.reason) ORDER BY f.id), '[]')
        FROM access_accessfreeze f LEFT JOIN catalog_product p ON p.id = f.product_id
        WHERE f.ended_at IS NULL AND f.until > %(now)s) AS freezes,
       (SELECT coalesce(sum(reserved), 0) FROM instances_instance) AS held,
       {_count("operations_drift WHERE resolved_at IS NULL AND (ignored_until IS NULL OR ignored_until <= %(now)s)")} AS drift_count,
       {_count("onboarding_waitlistentry WHERE state = 'waiting' AND confirmed_at IS NOT NULL")} AS waitlist_count,
       (SELECT count(*) FROM core_lawcheck WHERE state = 'violated' AND id = ANY(ARRAY({NEWEST}))) AS laws_violated,
       (SELECT coalesce(json_agg(json_build_array(id, name) ORDER BY position, id), '[]') FROM catalog_product) AS products_by_name,
       (SELECT coalesce(json_agg(json_build_array(i.id, i.name) ORDER BY p.position, i.slug), '[]')
        FROM instances_instance i JOIN catalog_product p ON p.id = i.product_id) AS instances_by_name
"""  # noqa: S608


class Incident(NamedTuple):
    """One time of incident mode, as the banner tells it; `product`: of whom alone it is, if not of everybody."""

    pk: int
    product: str
    until: dt.datetime
    begun_at: dt.datetime
    begun_by: str
    reason: str


@dataclass(frozen=True)
class Counts:
    """How many of what, and since when; and the names by which lists are filtered."""

    at: dt.datetime
    due: int
    is_paused: bool
    running: int
    stuck: int  # jobs that go nowhere without an operator
    due_since: dt.datetime | None
    events: int
    events_since: dt.datetime | None
    waits: int
    waits_since: dt.datetime | None
    emails_undelivered: int  # not sent, or nobody knows
    pending: int
    pending_since: dt.datetime | None
    silent_seconds: float | None
    down_count: int
    review_count: int
    problems: tuple[Problem, ...]
    approvals_waiting: int
    held_back: int
    privacy_due: int
    freezes: list[tuple[int, str, str, str, str, str]]
    held: int
    drift_count: int
    waitlist_count: int
    laws_violated: int
    products_by_name: list[tuple[int, str]]
    instances_by_name: list[tuple[int, str]]

    @property
    def problem_count(self) -> int:
        """What the inbox shows."""
        return len(self.problems)

    @property
    def incidents(self) -> list[Incident]:
        """The times of incident mode that are on."""
        moment = dt.datetime.fromisoformat
        return [
            Incident(pk, product, moment(until), moment(begun), by, mask(SENTENCES, reason))
            for pk, product, until, begun, by, reason in self.freezes
        ]

    @property
    def late_seconds(self) -> int:
        """How long the job has waited that has been due longest; 0 when none is due."""
        return max(0, int((self.at - self.due_since).total_seconds())) if self.due_since else 0

    @property
    def worker_silent(self) -> bool:
        """No worker has given a sign of life for a while, or ever."""
        return self.silent_seconds is None or self.silent_seconds > SILENT_SECONDS


def read_counts() -> Counts:
    """One query."""
    with connection.cursor() as cursor:
        cursor.execute(COUNTS, {"now": clock.now(), "today": clock.now().date()})
        counted = dict(zip((column.name for column in cursor.description), cursor.fetchone(), strict=True))
    found = counted.pop("problems")
    return Counts(at=clock.now(), problems=tuple(map(Problem.from_json, found)), **counted)


COUNTED = Kept(read_counts, seconds=KEPT_SECONDS)
