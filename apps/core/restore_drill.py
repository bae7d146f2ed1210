"""The restore drill: is what the last backup brings back whole, and would this release run on it?

`frontdesk-backup restore` has put the last backup into a database of its own beside ours, whose comment is the backup's file. There,
writing nothing: every law that the database answers is checked as of the moment of the backup, the audit trail has every line that
ours has from before it, and there is nothing left to migrate. What an open check of a law already knew is no fault of the backup.
"""

import datetime as dt
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import DatabaseError, connection, transaction
from django.db.migrations.executor import MigrationExecutor

from apps.core import law_checks, laws
from apps.core.laws import LawState, Scope, Source
from apps.core.models import AuditEntry

SUFFIX = "_drill"
FILE = re.compile(r"frontdesk-(\d{4}-\d\d-\d\dT\d{6})Z\.dump")
LATE_COMMITS = dt.timedelta(minutes=5)  # a line of the trail has its time before it is committed
LARGEST = 5  # tables that are shown


class NoCopy(Exception):
    """There is nothing to judge; the text says what to do."""


@dataclass(frozen=True)
class RestoreDrill:
    """What was found. `tables`: the rows of each; `entries`: lines of the audit trail from before the backup; `problems`: sentences."""

    file: str
    taken_at: dt.datetime
    tables: dict[str, int]
    laws: int
    entries: int
    problems: tuple[str, ...]

    def list_largest(self) -> list[tuple[str, int]]:
        """The tables with the most rows."""
        return sorted(self.tables.items(), key=lambda one: -one[1])[:LARGEST]


def judge_copy() -> RestoreDrill:
    """Look at the copy. NoCopy when there is none."""
    copy = f"{connection.settings_dict['NAME']}{SUFFIX}"
    file, taken_at = _read_comment(copy)
    before = taken_at - LATE_COMMITS
    live = AuditEntry.objects.filter(at__lt=before).count()
    with _connected_to(copy):
        if pending := _list_pending():
            what = f"It is from before the last upgrade ({pending[0]}). Wait for the next backup, then try again."
            return RestoreDrill(file, taken_at, {}, 0, 0, (what,))
        tables = _count_rows()
        checked = laws.run(
            [
                law.number
                for law in laws.all_laws()
                if law.source == Source.DATABASE and law.number != laws.NEEDS_A_WORKER
            ],
            Scope(moment=taken_at),
        )
        old = {number for number, row in law_checks.latest().items() if row.state == LawState.VIOLATED}
        entries = AuditEntry.objects.filter(at__lt=before).count()
    problems = [
        f"{one.law.number}, {one.law.title}: {one.checked.total:,} violations." if one.state == LawState.VIOLATED
        else f"{one.law.number}, {one.law.title}, could not be checked. {one.reason}"
        for one in checked
        if one.state != LawState.OK and one.is_set_up and one.law.number not in old
    ]  # fmt: skip
    if entries != live:
        problems.append(
            f"The audit trail up to {before:%-d %B, %H:%M} UTC has {entries:,} lines in the backup and {live:,} here."
        )
    return RestoreDrill(file, taken_at, tables, len(checked), entries, tuple(problems))


def _read_comment(copy: str) -> tuple[str, dt.datetime]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", [copy])
        (file,) = cursor.fetchone() or ("",)
    found = FILE.fullmatch(file or "")
    if not found:
        raise NoCopy(f"There is no database {copy} with a restored backup. Run `frontdesk-backup restore` first.")
    return found[0], dt.datetime.strptime(found[1], "%Y-%m-%dT%H%M%S").replace(tzinfo=dt.UTC)


@contextmanager
def _connected_to(database: str) -> Iterator[None]:
    """This process works on another database of the same server for as long as the block runs."""
    ours = connection.settings_dict["NAME"]
    _connect(database)
    try:
        connection.ensure_connection()
        yield
    except DatabaseError as error:  # a right that is missing, a table that is gone, an index that is damaged
        raise NoCopy(f"The database {database} cannot be read: {type(error.__cause__ or error).__name__}.") from error
    finally:
        _connect(ours)


def _connect(database: str) -> None:
    connection.close()
    connection.settings_dict["NAME"] = database


def _list_pending() -> list[str]:
    executor = MigrationExecutor(connection)
    return [str(one) for one, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())]


@transaction.atomic
def _count_rows() -> dict[str, int]:
    """Of each table, each row read."""
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
        names = sorted(connection.introspection.table_names(cursor))
        quoted = [connection.ops.quote_name(name) for name in names]
        cursor.execute(" UNION ALL ".join(f"SELECT count(*) FROM {name}" for name in quoted))  # noqa: S608
        return dict(zip(names, (int(count) for (count,) in cursor.fetchall()), strict=True))
