"""`manage.py migrate`: Django's, one at a time, and in nobody's way.

A statement that changes a table waits until nobody uses it, and everybody who comes later waits behind it. So it gives up after
LOCK_SECONDS: its migration is undone, those who waited go on, and a moment later it is tried again.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, override

import psycopg
from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import OperationalError, connections

from apps.core.locks import LockClass
from apps.core.pooling import refuse_transaction_pooling

LOCK_SECONDS, PAUSE_SECONDS, TRIES = 3.0, 5, 24
IN_THE_WAY = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
# Those that build an index or constraint without a lock leave it invalid when they give up; _ccnew and _ccold are REINDEX's own.
UNFINISHED = """
SELECT format('DROP INDEX CONCURRENTLY IF EXISTS %I', relname) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE NOT indisvalid AND relnamespace = 'public'::regnamespace AND relname !~ '_cc(new|old)[0-9]*$'
"""
LONGEST = """
SELECT format('process %s (%s), for %s s', pid, coalesce(nullif(application_name, ''), usename), round(extract(epoch FROM now() - xact_start)))
FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
ORDER BY xact_start LIMIT 3
"""


class Command(migrate.Command):
    @override
    def handle(self, *args: Any, **options: Any) -> None:
        if options["plan"] or options["check_unapplied"]:
            super().handle(*args, **options)
            return
        refuse_transaction_pooling()
        self.database = connections[options["database"]]
        with self._alone():
            self._ask("SELECT set_config('lock_timeout', %s, false)", f"{LOCK_SECONDS * 1000:.0f}ms")
            for left in reversed(range(TRIES)):
                try:
                    for statement in self._ask(UNFINISHED):
                        self._ask(statement)
                    super().handle(*args, **options)
                except OperationalError as error:
                    if not isinstance(error.__cause__, IN_THE_WAY):
                        raise
                    self._wait(error, is_last=not left)
                else:
                    return

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Asked again and again: who waited in one statement would be waited for by an index that is built concurrently."""
        said = False
        while not self._ask("SELECT pg_try_advisory_lock(%s, 0)", LockClass.MIGRATIONS)[0]:
            if not said:
                self.stdout.write("Another migrate is running on this database. Waiting until it has ended.")
            said = True
            time.sleep(1)
        try:
            yield
        finally:
            self._ask("SELECT set_config('lock_timeout', '0', false)")
            self._ask("SELECT pg_advisory_unlock(%s, 0)", LockClass.MIGRATIONS)

    def _wait(self, error: OperationalError, *, is_last: bool) -> None:
        busy = "; ".join(self._ask(LONGEST)) or "nobody any more"
        reason = str(error).partition("\n")[0]
        if is_last:
            raise CommandError(
                f"A table stayed in use: {reason}. The migration that needs it is undone. In the way may be: {busy}."
                " End what holds it, then run migrate again."
            )
        self.stdout.write(
            f"A table is in use ({reason}); trying again in {PAUSE_SECONDS} s. In the way may be: {busy}."
        )
        time.sleep(PAUSE_SECONDS)

    def _ask(self, statement: str, *values: str | int) -> list[Any]:
        """The first column of what it gives."""
        with self.database.cursor() as cursor:
            cursor.execute(statement, values or None)
            return [row[0] for row in cursor.fetchall()] if cursor.description else []
