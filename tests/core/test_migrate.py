"""`manage.py migrate` runs once at a time, and lets those go on who use a table that it needs."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.core.management.commands import migrate as django_migrate
from django.db import OperationalError, connection

from apps.core.locks import LockClass
from apps.core.management.commands import migrate

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def other() -> Iterator[psycopg.Connection]:
    """Somebody else's connection to the same database; what it does is in one transaction."""
    values = connection.get_connection_params()
    found = {name: values[name] for name in ("dbname", "user", "password", "host", "port") if values.get(name)}
    with psycopg.connect(**found) as made:
        yield made


@pytest.fixture
def during(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What happens while the command waits, and how short it waits for a table."""

    def set_up(happens: Callable[[], object], *, seconds: float = 0.2) -> None:
        monkeypatch.setattr(migrate, "LOCK_SECONDS", seconds)
        monkeypatch.setattr(migrate, "time", SimpleNamespace(sleep=lambda _seconds: happens()))

    return set_up


@pytest.fixture
def migration(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """In the place of all migrations one statement; the attempts that were made."""
    attempts: list[str] = []

    def handle(_command: object, *_args: object, **_options: Any) -> None:
        attempts.append("begun")
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE core_job ALTER COLUMN reason SET NOT NULL")
        attempts[-1] = "done"

    monkeypatch.setattr(django_migrate.Command, "handle", handle)
    return attempts


def test_a_table_in_use_is_left_alone_and_tried_again(
    other: psycopg.Connection, during: Callable[..., None], migration: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    other.execute("SELECT count(*) FROM core_job")
    during(other.rollback)
    call_command("migrate")
    assert migration == ["begun", "done"]
    said = capsys.readouterr().out
    assert "A table is in use (canceling statement due to lock timeout)" in said
    assert f"process {other.info.backend_pid}" in said


def test_after_the_last_try_it_says_who_may_be_in_the_way(
    other: psycopg.Connection, during: Callable[..., None], migration: list[str]
) -> None:
    other.execute("SELECT count(*) FROM core_job")
    during(lambda: None, seconds=0.02)
    with pytest.raises(CommandError, match=f"stayed in use.*is undone.*process {other.info.backend_pid}"):
        call_command("migrate")
    assert migration == ["begun"] * migrate.TRIES
    other.rollback()
    with connection.cursor() as cursor:  # the connection waits again for as long as it takes, and holds no lock
        cursor.execute("SELECT current_setting('lock_timeout')")
        assert cursor.fetchone() == ("0",)
        assert other.execute("SELECT pg_try_advisory_lock(%s, 0)", [LockClass.MIGRATIONS]).fetchone() == (True,)


@pytest.mark.mutant
def test_mutant_with_patience_the_migration_would_keep_everybody_waiting(
    other: psycopg.Connection, during: Callable[..., None], migration: list[str]
) -> None:
    other.execute("SELECT count(*) FROM core_job")
    during(other.rollback, seconds=0)  # 0: no limit
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = '2s'")
    with pytest.raises(OperationalError, match="statement timeout"):
        call_command("migrate")
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
    assert migration == ["begun"]


def test_a_second_one_waits_for_the_first(
    other: psycopg.Connection, during: Callable[..., None], migration: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    other.execute("SELECT pg_advisory_lock(%s, 0)", [LockClass.MIGRATIONS])

    def first_ends() -> None:
        assert migration == []
        other.execute("SELECT pg_advisory_unlock(%s, 0)", [LockClass.MIGRATIONS])

    during(first_ends)
    call_command("migrate")
    assert migration == ["done"]
    assert "Another migrate is running" in capsys.readouterr().out


def test_asking_what_there_is_to_do_waits_for_nobody(other: psycopg.Connection, migration: list[str]) -> None:
    other.execute("SELECT pg_advisory_lock(%s, 0)", [LockClass.MIGRATIONS])
    call_command("migrate", "--plan")
    assert migration == ["done"]


def test_an_index_whose_building_was_given_up_does_not_stop_the_next_try(migration: list[str]) -> None:
    with connection.cursor() as cursor:
        for name in ("probe_left_behind", "probe_ccnew", "probe_ready"):
            cursor.execute(f"CREATE INDEX {name} ON core_job (reason)")
        cursor.execute(
            "UPDATE pg_index SET indisvalid = false"
            " WHERE indexrelid IN ('probe_left_behind'::regclass, 'probe_ccnew'::regclass)"
        )
        try:
            call_command("migrate")
            cursor.execute("SELECT relname FROM pg_class WHERE relname LIKE 'probe%' ORDER BY relname")
            assert cursor.fetchall() == [("probe_ccnew",), ("probe_ready",)]
        finally:
            cursor.execute("DROP INDEX IF EXISTS probe_left_behind, probe_ccnew, probe_ready")
    assert migration == ["done"]
