"""Laws: statements about stored data that hold at any moment, whatever happened before, each with a check of all of it.

An app registers its laws from its `ready()`. A check reads sets, never one person after another, and writes nothing; where a law
allows for time, it finds only what is older than that, so work in progress breaks no law. One that cannot be checked now is
`unknown`, with the reason, and never `ok`. core/law_checks.py checks them all on schedule and keeps what was found.
"""

import datetime as dt
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import structlog
from django.core.exceptions import EmptyResultSet
from django.db import connection, models, transaction
from django.db.models import QuerySet

from apps.core import clock

log = structlog.get_logger(__name__)

MOST = 100  # violations that are named; all are counted
LONGEST_SECONDS = 45  # of one statement; a job has a minute
MEMORY = "64MB"  # for each sort or hash of a statement, which reads everybody
NEEDS_A_WORKER = "L16"  # the law about workers: not asked where none can live, as of a copy of the data
FIVE_MINUTES, HOUR, DAY = 300, 3600, 86_400


class LawSeverity(models.TextChoices):
    """What a violation asks of staff."""

    URGENT = "urgent", "Urgent"
    IMPORTANT = "important", "Important"
    NOTICE = "notice", "Notice"


class Source(models.TextChoices):
    """What a law is checked against."""

    DATABASE = "database", "Database"
    STRIPE = "stripe", "Stripe"
    KEYCLOAK = "keycloak", "Keycloak"
    LOGS = "logs", "Logs"


class LawState(StrEnum):
    """How a check ended."""

    OK = "ok"
    VIOLATED = "violated"
    UNKNOWN = "unknown"


class Unknown(Exception):
    """A law that cannot be checked now; the text says why, as a sentence for staff."""


class NotSetUp(Unknown):
    """A law for which this installation lacks something optional: shown as not checked, and no news to staff."""


@dataclass(frozen=True)
class LawViolation:
    """One thing that breaks a law. `words`: a plain sentence without personal data."""

    subject_kind: str
    subject_id: str
    subscriber_id: int | None
    words: str


@dataclass(frozen=True)
class Checked:
    """How many were looked at, the first violations, and how many there are."""

    looked_at: int
    violations: Sequence[LawViolation] = ()
    total: int = 0


@dataclass(frozen=True)
class Scope:
    """What is checked: everything, or what concerns one subscriber; as of one moment."""

    moment: dt.datetime = field(default_factory=clock.now)
    subscriber_id: int | None = None

    def before(self, seconds: float) -> dt.datetime:
        """The moment that many seconds ago."""
        return self.moment - dt.timedelta(seconds=seconds)

    def narrow[Row: models.Model](self, rows: QuerySet[Row], to_subscriber: str = "pk") -> QuerySet[Row]:
        """These rows, or only those of the one subscriber; `to_subscriber`: the field that holds the id."""
        return rows if self.subscriber_id is None else rows.filter(**{to_subscriber: self.subscriber_id})


@dataclass(frozen=True)
class Law:
    """One law, in words and as a check. `sentence`: what always holds; `allowance_seconds`: how late it may become true."""

    number: str
    title: str
    sentence: str
    severity: LawSeverity
    check: Callable[[Scope], Checked]
    allowance_seconds: int = 0
    source: Source = Source.DATABASE
    period_seconds: int = FIVE_MINUTES


@dataclass(frozen=True)
class LawResult:
    """What one check found. `reason`: why it is unknown; `failed`: because the check itself broke.

    `is_set_up`: whether this installation can check it at all.
    """

    law: Law
    state: LawState
    checked: Checked
    seconds: float
    reason: str = ""
    failed: bool = False
    is_set_up: bool = True


_laws: dict[str, Law] = {}


def register(*laws: Law) -> None:
    """Add laws; a number stands for one law."""
    for law in laws:
        if _laws.get(law.number, law) is not law:
            raise ValueError(f"Law {law.number} is registered twice.")
        _laws[law.number] = law


def all_laws() -> list[Law]:
    """Every law, in the order of the numbers."""
    return sorted(_laws.values(), key=lambda law: int(law.number[1:]))


def run(numbers: Collection[str] = (), scope: Scope | None = None) -> list[LawResult]:
    """Check these laws (none named: all), each by itself: one whose check fails is unknown, and stops no other."""
    scope = scope or Scope()
    return [run_one(law, scope) for law in all_laws() if not numbers or law.number in numbers]


def run_one(law: Law, scope: Scope) -> LawResult:
    """Check one law."""
    started, state, checked, reason, failed = time.monotonic(), LawState.UNKNOWN, Checked(0), "", False
    is_set_up = True
    try:
        with _reading(law):
            checked = law.check(scope)
        state = LawState.VIOLATED if checked.total else LawState.OK
    except Unknown as why:
        reason, is_set_up = str(why), not isinstance(why, NotSetUp)
    except Exception as error:
        log.exception("law_check_failed", law=law.number)
        reason, failed = f"The check failed with {type(error).__name__}; the log has the trace.", True
    return LawResult(law, state, checked, time.monotonic() - started, reason, failed, is_set_up)


@contextmanager
def _reading(law: Law) -> Iterator[None]:
    """What a check of the database runs in: it can write nothing, and a statement that takes too long is given up."""
    if law.source != Source.DATABASE:
        yield  # it may call; no transaction is open over that
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
            cursor.execute(f"SET LOCAL statement_timeout = '{LONGEST_SECONDS}s'; SET LOCAL work_mem = '{MEMORY}'")
        yield


def judge(
    looked_at: QuerySet[Any, Any] | int,
    broken: QuerySet[Any, Any],
    *,
    kind: str,
    words: Callable[[Any], str],
    subscriber: Callable[[Any], int | None] = lambda _row: None,
) -> Checked:
    """`Checked` from a query of what is looked at and one of what breaks the law; reads at most `MOST` rows of that.

    `words` and `subscriber` get a row of `broken`: the sentence about it, and the id of the subscriber it concerns.
    """
    rows: list[Any] = []
    with suppress(EmptyResultSet):  # where a condition can hold for nobody
        statement, values = broken.query.sql_with_params()
        rows = list(broken.model._base_manager.raw(_first_of(statement, MOST), values))
    found = [LawViolation(kind, str(row.pk), subscriber(row), words(row)) for row in rows]
    return Checked(looked_at if isinstance(looked_at, int) else looked_at.count(), found, rows[0].found if rows else 0)


def read_ids(rows: QuerySet[Any, Any], most: int) -> list[Any]:
    """The ids of the first `most` rows, in the order of the ids."""
    try:
        statement, values = rows.order_by("pk").values_list("pk").query.sql_with_params()
    except EmptyResultSet:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_first_of(statement, most), values)
        return [pk for pk, _ in cursor.fetchall()]


def _first_of(statement: str, most: int) -> str:
    """The first rows and how many there are (`found`). All are found before they are limited: where a statement with a LIMIT finds
    nothing, as it does where all is in order, Postgres walks a whole index to save a sort that has nothing to sort.
    """
    return f"WITH broken AS MATERIALIZED ({statement}) SELECT *, count(*) OVER () AS found FROM broken LIMIT {most}"  # noqa: S608


def combine(looked_at: QuerySet[Any, Any] | int, *parts: Checked) -> Checked:
    """One law that is checked in parts."""
    found = [one for part in parts for one in part.violations][:MOST]
    count = looked_at if isinstance(looked_at, int) else looked_at.count()
    return Checked(count, found, sum(part.total for part in parts))


def judge_sql(
    looked_at: QuerySet[Any, Any] | int, statement: str, values: dict[str, Any], *, kind: str, words: Callable[..., str]
) -> Checked:
    """The same from a SELECT without ORDER BY whose columns are: the id, the subscriber's id or NULL, and what `words` gets."""
    numbered = f"SELECT count(*) OVER (), broken.* FROM ({statement}) AS broken ORDER BY 2 LIMIT {MOST}"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(numbered, values)
        rows = list(cursor.fetchall())
    found = [LawViolation(kind, str(one), subscriber, words(*rest)) for _, one, subscriber, *rest in rows]
    return Checked(looked_at if isinstance(looked_at, int) else looked_at.count(), found, rows[0][0] if rows else 0)
