"""Backups and restore drills: the real script on the tests' own Postgres, what it records, and what staff are told."""

import datetime as dt
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from psycopg import sql

from apps.core import attention, audit, backups, clock, rights
from apps.core.attention import Cause
from apps.core.models import Backup
from apps.sandbox.run.postgres import program
from tests.security.site import wait_until
from tests.world import ROOT

SCRIPT = ROOT / "config/backup/frontdesk-backup"


def server() -> dict[str, str]:
    """How the script reaches the tests' Postgres."""
    ours = connection.settings_dict
    return {"POSTGRES_HOST": ours["HOST"], "POSTGRES_DB": ours["NAME"], "POSTGRES_USER": ours["USER"]}


def run(word: str, folder: Path, *, first: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """The script, with the programs of the tests' Postgres; `first`: a folder of others that come before these."""
    path = f"{program('pg_dump', Path(connection.settings_dict['HOST'])).parent}:{os.environ['PATH']}"
    given = server() | {"PATH": f"{first}:{path}" if first else path, "BACKUP_FOLDER": str(folder)} | environment
    return subprocess.run(["sh", str(SCRIPT), word], env=given, capture_output=True, text=True, check=False)


def stand_in(name: str, script: str, folder: Path) -> Path:
    """The folder, with a program of that name that does what the script says."""
    folder.mkdir()
    (folder / name).write_text(f"#!/bin/sh\n{script}")
    (folder / name).chmod(0o755)
    return folder


def told() -> dict[str, str]:
    """The open items about backups."""
    backups.check()
    return {one.key: one.sentence for one in attention.open_items().filter(cause=Cause.BACKUP)}


@pytest.mark.django_db(transaction=True)
def test_a_backup_is_recorded_and_one_that_is_late_is_told_until_the_next(tmp_path: Path) -> None:
    assert run("make", tmp_path).returncode == 0
    (file,) = tmp_path.iterdir()
    row = Backup.objects.get(kind="backup")
    assert (row.database, row.file, row.bytes, row.error) == ("frontdesk", file.name, file.stat().st_size, "")
    assert dt.timedelta(minutes=179) < row.due_at - timezone.now() < dt.timedelta(minutes=181)
    drill = Backup.objects.get(kind="drill")
    assert (drill.succeeded_at, (drill.due_at - timezone.now()).days) == (None, 34)
    assert told() == {}

    Backup.objects.update(due_at=timezone.now() - dt.timedelta(hours=1))
    assert told().keys() == {"backup frontdesk", "drill frontdesk"}
    assert "none ever succeeded" in told()["drill frontdesk"]
    key = {"Authorization": f"Bearer {settings.PROMETHEUS_METRICS_API_KEY}"}
    late = [
        line
        for line in Client().get("/metrics", headers=key).content.decode().splitlines()
        if line.startswith("frontdesk_backup_overdue_seconds{")
    ]
    assert [float(line.split()[-1]) > 3500 for line in late] == [True, True]
    assert run("make", tmp_path).returncode == 0
    assert told().keys() == {"drill frontdesk"}


@pytest.mark.django_db(transaction=True)
def test_a_backup_that_cannot_be_read_back_is_none(tmp_path: Path) -> None:
    """A disk that is full, or a file cut short: its list of contents is there, its rows are not."""
    run("make", tmp_path)
    (good,) = tmp_path.iterdir()
    real = program("pg_dump", Path(connection.settings_dict["HOST"]))
    cut = f'for last; do :; done\n{real} "$@" && truncate --size=-2000 "$last"\n'
    done = run("make", tmp_path, first=stand_in("pg_dump", cut, tmp_path / "programs"))
    assert done.returncode == 1
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == [good.name]
    row = Backup.objects.get(kind="backup")
    assert row.file == good.name
    assert row.failed_at is not None
    assert "could not read" in told()["backup frontdesk"]


@pytest.mark.django_db(transaction=True)
def test_two_backups_at_once_are_two(tmp_path: Path) -> None:
    """As the manual has it: the service has begun its first one when the operator makes one by hand."""
    folder = tmp_path / "backups"
    folder.mkdir()
    killed, alive = folder / "frontdesk.part", folder / "frontdesk.part.alive"
    for file in (killed, alive):
        file.touch()
    os.utime(killed, (0, 0))
    real = program("pg_dump", Path(connection.settings_dict["HOST"]))
    between = f'{real} "$@" && {{ ! mkdir {tmp_path}/first 2>/dev/null || sh {SCRIPT} make; }}\n'
    done = run("make", folder, first=stand_in("pg_dump", between, tmp_path / "programs"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "first").exists()
    assert Backup.objects.get(kind="backup").error == ""
    assert {one.suffix for one in folder.iterdir() if one != alive} == {".dump"}
    assert alive.exists()


@pytest.mark.django_db(transaction=True)
def test_days_weeks_and_months_are_kept_and_nothing_else(tmp_path: Path) -> None:
    today = timezone.now().date()
    days = [today - dt.timedelta(days=number) for number in range(200)]
    for day in days:
        for hour in ("03", "21"):
            (tmp_path / f"frontdesk-{day}T{hour}0000Z.dump").touch()
    (tmp_path / "frontdesk-notes.txt").touch()
    assert run("make", tmp_path, BACKUP_KEEP_DAYS="5", BACKUP_KEEP_WEEKS="3", BACKUP_KEEP_MONTHS="4").returncode == 0
    monday = today - dt.timedelta(days=today.weekday())
    months = {(today.year * 12 + today.month - number) for number in range(4)}
    ends = {day for day in days if (day + dt.timedelta(days=1)).day == 1 and day.year * 12 + day.month in months}
    sundays = {monday - dt.timedelta(days=1), monday - dt.timedelta(days=8)}
    left = {one.name for one in tmp_path.glob("*.dump")}
    made = Backup.objects.get(kind="backup").file
    whole = {f"frontdesk-{day}T{hour}0000Z.dump" for day in days[:2] for hour in ("03", "21")}
    last = {f"frontdesk-{day}T210000Z.dump" for day in {*days[:5], *sundays, *ends}}
    assert left - {made} == whole | last
    assert (tmp_path / "frontdesk-notes.txt").exists()


@pytest.mark.django_db(transaction=True)
def test_the_service_makes_one_at_its_start_and_ends_when_asked(tmp_path: Path) -> None:
    with service(tmp_path) as (process, slept):
        wait_until(lambda: slept.exists() and slept.read_text().split() == ["60"], "it has looked once")
        assert Backup.objects.get(kind="backup").succeeded_at is not None
        process.terminate()
        assert process.wait(10) == 0


@pytest.mark.django_db(transaction=True)
def test_the_service_looks_at_each_database_by_itself(tmp_path: Path) -> None:
    """Keycloak's was not there yet when ours was backed up, some minutes ago."""
    (tmp_path / f"frontdesk-{timezone.now():%Y-%m-%dT%H%M%S}Z.dump").touch()
    with service(tmp_path, COMPOSE_PROFILES="keycloak", KEYCLOAK_DB_HOST=str(tmp_path)) as (_, slept):
        wait_until(lambda: slept.exists() and slept.read_text().split() == ["300"], "it tries again in five minutes")
    row = Backup.objects.get(kind="backup")
    assert (row.database, row.succeeded_at) == ("keycloak", None)


@contextmanager
def service(folder: Path, **environment: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The script as the service `backup`, and a file of how many seconds it has chosen to sleep."""
    programs = folder / "programs"
    stand_in("sleep", f'echo "$1" >> {programs}/slept\nPATH=/usr/bin:/bin exec sleep "$1"\n', programs)
    path = f"{programs}:{program('pg_dump', Path(connection.settings_dict['HOST'])).parent}:{os.environ['PATH']}"
    given = server() | {"PATH": path, "BACKUP_FOLDER": str(folder)} | environment
    with subprocess.Popen(
        ["sh", str(SCRIPT), "run"], env=given, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            yield process, programs / "slept"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and its `sleep`


@pytest.fixture
def app_role(transactional_db: None) -> Iterator[str]:
    """A role with the rights of web and worker, as which the drill is judged."""
    rights.grant(role="drill_app", password="not-asked-for")
    yield "drill_app"
    with connection.cursor() as cursor:
        cursor.execute("DROP OWNED BY drill_app; DROP ROLE drill_app")


@contextmanager
def connected_as(user: str) -> Iterator[None]:
    """This process's connection is another role's."""
    owner = connection.settings_dict["USER"]
    connection.close()
    connection.settings_dict["USER"] = user
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["USER"] = owner


@pytest.fixture
def restored(app_role: str, tmp_path: Path) -> Iterator[str]:
    """A backup, restored for a drill; the name of that database."""
    for number in range(3):
        audit.record(subject=("house", number), action=audit.AuditAction.ATTENTION_CLOSED, reason="Before.")
    assert run("make", tmp_path).returncode == 0
    (file,) = tmp_path.iterdir()
    later = timezone.now() + dt.timedelta(minutes=10)  # else no line of the trail is old enough to be compared
    file.rename(tmp_path / f"frontdesk-{later:%Y-%m-%dT%H%M%S}Z.dump")
    done = run("restore", tmp_path)
    assert done.returncode == 0, done.stderr
    yield f"{connection.settings_dict['NAME']}_drill"
    assert run("drop", tmp_path).returncode == 0
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_database WHERE datname = %s", [f"{connection.settings_dict['NAME']}_drill"]
        )
        assert cursor.fetchone() == (0,)


@pytest.mark.long
def test_a_drill_finds_the_backup_whole_and_notices_what_is_missing(
    restored: str, app_role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    after = timezone.now() + dt.timedelta(minutes=20)
    with mock.patch.object(clock, "now", return_value=after):
        audit.record(subject=("house", 9), action=audit.AuditAction.ATTENTION_CLOSED, reason="Since the backup.")
    with connected_as(app_role):
        call_command("restore_drill")
    said = capsys.readouterr().out
    assert "3 lines of the audit trail" in said
    assert "The backup is whole." in said
    row = Backup.objects.get(kind="drill")
    assert (row.error, row.failed_at, (row.due_at - timezone.now()).days) == ("", None, 34)
    assert row.file in said
    assert told() == {}

    ours = connection.settings_dict
    with psycopg.connect(host=ours["HOST"], user=ours["USER"], dbname=restored, autocommit=True) as copy:
        copy.execute("SET session_replication_role = replica")
        copy.execute("DELETE FROM core_auditentry WHERE subject_id = '2'")
        copy.execute("UPDATE core_auditentry SET hash = 'forged' WHERE subject_id = '1'")
    with pytest.raises(SystemExit, match="1"):
        call_command("restore_drill")
    assert "Wrong: L" in capsys.readouterr().out  # the law of the hash chain
    assert "2 lines in the backup and 3 here" in told()["drill frontdesk"]

    with psycopg.connect(host=ours["HOST"], user=ours["USER"], dbname=restored, autocommit=True) as copy:
        copy.execute("REVOKE SELECT ON core_auditentry FROM drill_app")
    with connected_as(app_role), pytest.raises(SystemExit, match="2"):
        call_command("restore_drill")
    assert "cannot be read: InsufficientPrivilege" in told()["drill frontdesk"]


@pytest.mark.django_db(transaction=True)
def test_without_a_copy_there_is_nothing_to_judge() -> None:
    with pytest.raises(SystemExit, match="2"):
        call_command("restore_drill")
    assert "Run `frontdesk-backup restore` first" in told()["drill frontdesk"]


@pytest.fixture
def keycloak(transactional_db: None) -> Iterator[None]:
    """A database like Keycloak's on the same server."""
    ours = connection.settings_dict
    with psycopg.connect(host=ours["HOST"], user=ours["USER"], dbname="postgres", autocommit=True) as owner:
        clear = [sql.SQL("DROP DATABASE IF EXISTS keycloak WITH (FORCE)"), sql.SQL("DROP ROLE IF EXISTS keycloak")]
        for one in (*clear, sql.SQL("CREATE ROLE keycloak SUPERUSER LOGIN"), sql.SQL("CREATE DATABASE keycloak")):
            owner.execute(one)
        with psycopg.connect(host=ours["HOST"], user="keycloak", dbname="keycloak", autocommit=True) as theirs:
            for name in ("realm", "user_entity"):
                theirs.execute(sql.SQL("CREATE TABLE {} AS SELECT 1 AS id").format(sql.Identifier(name)))
        yield
        for one in clear:
            owner.execute(one)


@pytest.mark.long
def test_keycloaks_database_is_backed_up_and_drilled_with_ours(keycloak: None, tmp_path: Path) -> None:
    theirs = {"COMPOSE_PROFILES": "tls,keycloak", "KEYCLOAK_DB_HOST": connection.settings_dict["HOST"]}
    for word in ("make", "restore", "drop"):
        done = run(word, tmp_path, **theirs)
        assert done.returncode == 0, done.stderr
    assert {one.name.partition("-")[0] for one in tmp_path.iterdir()} == {"frontdesk", "keycloak"}
    found = set(Backup.objects.filter(succeeded_at__isnull=False).values_list("kind", "database"))
    assert found == {("backup", "frontdesk"), ("backup", "keycloak"), ("drill", "keycloak")}


@pytest.mark.django_db(transaction=True)
def test_what_is_not_backed_up_here_any_more_is_not_overdue(tmp_path: Path, settings: Any) -> None:
    """A house has a Keycloak elsewhere now, and later somebody else makes all backups."""
    long_ago = timezone.now() - dt.timedelta(days=90)
    for kind in Backup.Kind:
        Backup.objects.create(kind=kind, database="keycloak", first_at=long_ago, due_at=long_ago)
    assert told().keys() == {"backup keycloak", "drill keycloak"}
    assert run("make", tmp_path).returncode == 0
    assert set(Backup.objects.values_list("database", flat=True)) == {"frontdesk"}
    assert told() == {}
    Backup.objects.update(due_at=long_ago)
    settings.BACKUPS_ELSEWHERE = True
    assert told() == {}
    assert not Backup.objects.exists()  # else the number in /metrics, and its alert, grow for ever


@pytest.mark.django_db
def test_a_house_that_takes_money_without_any_backup_is_told(settings: Any) -> None:
    assert told() == {}
    settings.STRIPE_LIVE_MODE = True
    assert "BACKUPS_ELSEWHERE" in told()["none"]
    settings.BACKUPS_ELSEWHERE = True
    assert told() == {}
