"""What is wrong now, each problem once: attention items by cause, stuck jobs and unsent emails by their reason, drift by its kind.

Nothing is copied: the rows are read where they are, at most COUNT_LIMIT of each table. Stuck jobs whose reason an open attention
item tells belong to that item's problem; those that send an email belong to the email's. Two reasons are the same if only numbers
and ids in them differ.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

from django.db import connection
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from apps.console.job_people import SUBSCRIBER_OF_JOB
from apps.console.saved_views import COUNT_LIMIT
from apps.core import clock
from apps.core.masking import SENTENCES, USERNAME, mask
from apps.notifications import mail

ATTENTION, JOBS, EMAILS, DRIFT = "attention", "jobs", "emails", "drift"
MOST = 200  # problems shown; where there are more, one of them caused the others
NAMED = 3  # people named of each problem
WITHOUT_IDS = r"md5(regexp_replace({}, '\m[a-z]+_[A-Za-z0-9]*[0-9][A-Za-z0-9]*|\m[0-9a-f]{{8}}-[0-9a-f-]{{27}}|[0-9]+', '#', 'g'))"
EMAIL_REASON = "coalesce(nullif(email.error, ''), email.state)"
FOUND = f"""
WITH items AS MATERIALIZED (
    SELECT cause, sentence, profile_ids, first_at, assignee,
        ignored_at IS NULL AND (snoozed_until IS NULL OR snoozed_until <= %(now)s) AS waits
    FROM core_attentionitem WHERE resolved_at IS NULL ORDER BY last_at DESC LIMIT {COUNT_LIMIT}),
emails AS MATERIALIZED (
    SELECT email.id, email.profile_id, email.created_at AS since, email.state, {EMAIL_REASON} AS sample,
        {WITHOUT_IDS.format(EMAIL_REASON)} AS reason
    FROM notifications_notification email WHERE email.state IN ('failed', 'uncertain') ORDER BY email.id DESC LIMIT {COUNT_LIMIT}),
stuck AS MATERIALIZED (
    SELECT job.id, job.kind, job.key, job.last_error, coalesce(job.finished_at, job.created_at) AS since,
        {WITHOUT_IDS.format("job.last_error")} AS reason
    FROM core_job job WHERE job.state IN ('blocked', 'dead')
        AND NOT (job.kind = '{mail.KIND}' AND EXISTS (SELECT FROM emails WHERE emails.id::text = job.key))
    ORDER BY job.id DESC LIMIT {COUNT_LIMIT}),
reasons AS MATERIALIZED (
    SELECT reason, min(last_error) AS sample, count(*) AS rows, min(since) AS since, array_agg(DISTINCT kind) AS kinds FROM stuck GROUP BY reason),
told AS MATERIALIZED (
    SELECT reasons.*, (SELECT min(cause) FROM items WHERE length(sample) > 20 AND strpos(sentence, rtrim(sample, '.')) > 0) AS cause
    FROM reasons),
differing AS MATERIALIZED (
    SELECT profile_id, kind, first_seen_at AS since FROM operations_drift
    WHERE resolved_at IS NULL AND (ignored_until IS NULL OR ignored_until <= %(now)s) ORDER BY id DESC LIMIT {COUNT_LIMIT}),
problems AS (
    SELECT '{ATTENTION}' AS source, cause AS key, count(*) AS rows, min(first_at) AS since, min(sentence) AS sample, ARRAY[]::text[] AS kinds,
        (SELECT coalesce(sum(told.rows), 0)::bigint FROM told WHERE told.cause = items.cause) AS jobs,
        array_remove(array_agg(DISTINCT assignee), '') AS assignees
    FROM items WHERE waits GROUP BY cause
    UNION ALL SELECT '{JOBS}', reason, rows, since, sample, kinds, rows, ARRAY[]::text[] FROM told WHERE cause IS NULL
    UNION ALL SELECT '{EMAILS}', reason, count(*), min(since), min(sample), array_agg(DISTINCT state), 0, ARRAY[]::text[] FROM emails GROUP BY reason
    UNION ALL SELECT '{DRIFT}', kind, count(*), min(since), '', ARRAY[]::text[], 0, ARRAY[]::text[] FROM differing GROUP BY kind),
affected AS (
    SELECT DISTINCT source, key, profile_id FROM (
        SELECT '{ATTENTION}' AS source, cause AS key, unnest(profile_ids) AS profile_id FROM items WHERE waits
        UNION ALL SELECT CASE WHEN told.cause IS NULL THEN '{JOBS}' ELSE '{ATTENTION}' END, coalesce(told.cause, told.reason), {SUBSCRIBER_OF_JOB}
        FROM stuck job JOIN told ON told.reason = job.reason
        UNION ALL SELECT '{EMAILS}', reason, profile_id FROM emails
        UNION ALL SELECT '{DRIFT}', kind, profile_id FROM differing) one
    WHERE profile_id IS NOT NULL)
"""  # noqa: S608  (constants of the code)
PROBLEMS = f"{FOUND} SELECT source, key, rows, since, sample, kinds, jobs, assignees FROM problems ORDER BY since, key LIMIT {MOST}"  # noqa: S608
# For the menu's counts: the same as one column.
AS_JSON = (
    f"SELECT coalesce(json_agg(json_build_array(source, key, rows, since, kinds)), '[]') FROM ({PROBLEMS}) problem"  # noqa: S608
)
# OFFSET 0: the subscribers are looked up one by one, however many there are of others.
PEOPLE = f"""{FOUND}
SELECT source, key, person.currency, count(*), sum(person.amount), (array_agg(json_build_array(person.id, person.name) ORDER BY person.id))[1:{NAMED}]
FROM affected, LATERAL (
    SELECT one.id, member.username AS name, one.monthly_amount AS amount, one.monthly_currency AS currency
    FROM accounts_userprofile one JOIN auth_user member ON member.id = one.user_id WHERE one.id = affected.profile_id OFFSET 0) person
GROUP BY source, key, person.currency ORDER BY source, key, person.currency
"""  # noqa: S608


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong. `rows`: how many its list has; `sample`: what one of them says; `jobs`: stuck ones behind it."""

    source: str
    key: str
    rows: int
    since: dt.datetime
    sample: str = ""
    kinds: tuple[str, ...] = ()  # of jobs, or the states of emails
    jobs: int = 0
    assignees: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, row: list[Any]) -> Self:
        """As AS_JSON has it."""
        source, key, rows, since, kinds = row
        return cls(source=source, key=key, rows=rows, since=dt.datetime.fromisoformat(since), kinds=tuple(kinds))

    @property
    def name(self) -> str:
        """How addresses name it."""
        return f"{self.source}:{self.key}"


@dataclass
class Affected:
    """Whom a problem affects: how many, the first of them by number and name, and what they pay in a month."""

    count: int = 0
    first: list[tuple[int, str]] | None = None
    money: list[tuple[str, int]] | None = None


def read_problems() -> list[Problem]:
    """All of them, the oldest first; one query."""
    names = ("source", "key", "rows", "since", "sample", "kinds", "jobs", "assignees")
    found = [Problem(**dict(zip(names, row, strict=True))) for row in _rows(PROBLEMS)]
    return [replace(one, sample=mask(SENTENCES, one.sample)) for one in found]


def read_affected() -> dict[str, Affected]:
    """Whom each problem affects, by its name; one query."""
    found: dict[str, Affected] = {}
    for source, key, currency, count, amount, first in _rows(PEOPLE):
        one = found.setdefault(f"{source}:{key}", Affected(0, [], []))
        one.count += count
        one.first = sorted([*(one.first or []), *((pk, mask(USERNAME, name)) for pk, name in first)])[:NAMED]
        if amount:
            one.money = [*(one.money or []), (currency, int(amount))]
    return found


def _rows(statement: str) -> Iterator[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"now": clock.now()})
        yield from cursor.fetchall()


def narrow_people(rows: QuerySet[Any], name: str) -> QuerySet[Any]:
    """The subscribers whom a problem affects."""
    return _narrow(rows, "SELECT profile_id FROM affected WHERE source = %s AND key = %s", name)


def narrow_jobs(rows: QuerySet[Any], name: str) -> QuerySet[Any]:
    """The stuck jobs behind a problem."""
    stuck = "SELECT stuck.id FROM stuck JOIN told ON told.reason = stuck.reason"
    chosen = f"{stuck} WHERE CASE WHEN told.cause IS NULL THEN '{JOBS}' ELSE '{ATTENTION}' END = %s AND coalesce(told.cause, told.reason) = %s"
    return _narrow(rows, chosen, name)


def narrow_emails(rows: QuerySet[Any], name: str) -> QuerySet[Any]:
    """The emails of a problem."""
    return _narrow(rows, f"SELECT id FROM emails WHERE '{EMAILS}' = %s AND reason = %s", name)  # noqa: S608


def _narrow(rows: QuerySet[Any], chosen: str, name: str) -> QuerySet[Any]:
    source, _, key = name.partition(":")
    now = [clock.now()] * FOUND.count("%(now)s")
    found = RawSQL(f"{FOUND} {chosen}".replace("%(now)s", "%s"), [*now, source, key])  # noqa: S611  (constants of the code)
    return rows.filter(pk__in=found)
