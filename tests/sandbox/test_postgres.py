"""The embedded Postgres, for real: every test starts servers of its own in a directory of its own."""

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from apps.sandbox.run import postgres, postgres_programs

AS_SERVER = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory that every account can reach (pytest's tmp_path is private); servers in it end with the test.

    Its `elsewhere` stands for /var/lib/frontdesk-postgres: in a clone out of reach every server goes there.
    """
    path = Path(tempfile.mkdtemp(prefix="fd-", dir="/var/tmp"))
    path.chmod(0o755)
    monkeypatch.setattr(postgres, "ELSEWHERE", path / "elsewhere")
    yield path
    kill_servers_below(path)
    shutil.rmtree(path)


def kill_servers_below(path: Path) -> None:
    """Kill them, and wait until they are gone."""
    killed = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str((process / "cwd").readlink()).startswith(f"{path}/"):
                os.kill(int(process.name), signal.SIGKILL)
                killed.append(int(process.name))
    deadline = time.monotonic() + 20
    while any(map(works, killed)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def works(pid: int) -> bool:
    """Whether there is such a process, and not only what is left of one until it is reaped."""
    with contextlib.suppress(OSError):
        return bool(Path(f"/proc/{pid}/cwd").readlink())
    return False


def ask(host: str, question: str) -> object:
    with psycopg.connect(host=host, port=5432, user=postgres.NAME, dbname=postgres.NAME) as connection:
        row = connection.execute(question).fetchone()  # type: ignore[arg-type]
    return row[0] if row else None


def write(host: str, statement: str) -> None:
    with psycopg.connect(host=host, port=5432, user=postgres.NAME, dbname=postgres.NAME) as connection:
        connection.execute(statement)  # type: ignore[arg-type]


def pid_of(host: str) -> int:
    return int((Path(host) / "postmaster.pid").read_text().split()[0])


def rights(path: Path) -> dict[Path, tuple[int, int, int]]:
    return {p: (p.stat().st_mode, p.stat().st_uid, p.stat().st_gid) for p in (path, *path.parents)}


def seconds(action: Callable[[], object]) -> float:
    before = time.monotonic()
    action()
    return time.monotonic() - before


def test_the_first_start_makes_a_server_that_only_its_account_can_reach(place: Path) -> None:
    before = rights(place)
    host = postgres.start(place / "new/data", durable=False)
    assert str(ask(host, "SHOW server_version")).startswith("18.")
    assert ask(host, "SHOW listen_addresses") == ""
    assert ask(host, "SHOW server_encoding") == "UTF8"
    assert ask(host, "SHOW max_connections") == "200"
    assert ask(host, "SELECT datlocale FROM pg_database WHERE datname = current_database()") == "C.UTF-8"
    assert stat.S_IMODE((Path(host) / ".s.PGSQL.5432").stat().st_mode) == 0o700
    assert stat.S_IMODE(Path(host).stat().st_mode) == 0o700
    assert rights(place) == before


@pytest.mark.long
def test_a_second_start_finds_the_server_running(place: Path) -> None:
    host = postgres.start(place / "data", durable=False)
    pid = pid_of(host)
    assert seconds(lambda: postgres.start(place / "data", durable=False)) < 1
    assert postgres.start(place / "data", durable=False) == host
    assert pid_of(host) == pid


@pytest.mark.long
def test_data_is_kept_over_stop_and_start(place: Path) -> None:
    host = postgres.start(place / "data")
    assert ask(host, "SHOW fsync") == "on"
    write(host, "CREATE TABLE kept AS SELECT 7 AS number")
    postgres.stop(place / "data")
    with pytest.raises(psycopg.OperationalError):
        ask(host, "SELECT 1")
    postgres.stop(place / "data")  # none running is fine
    times = []
    for _ in range(3):
        times.append(seconds(lambda: postgres.start(place / "data")))
        assert ask(host, "SELECT number FROM kept") == 7
        postgres.stop(place / "data")
    assert min(times) < 0.5  # the best of three: the machine may be busy


@pytest.mark.long
def test_removing_deletes_the_data(place: Path) -> None:
    write(postgres.start(place / "data", durable=False), "CREATE TABLE gone AS SELECT 1")
    postgres.stop(place / "data", remove=True)
    assert not list(place.glob("*/**/PG_VERSION"))
    host = postgres.start(place / "data", durable=False)
    assert ask(host, "SELECT to_regclass('gone')") is None


@pytest.mark.long
def test_what_was_committed_survives_a_killed_server(place: Path) -> None:
    host = postgres.start(place / "data")
    write(host, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS number")
    os.kill(pid_of(host), signal.SIGKILL)
    assert postgres.start(place / "data") == host
    assert ask(host, "SELECT count(*) FROM kept") == 1000


@pytest.mark.long
@pytest.mark.parametrize("owner", [AS_SERVER, {}], ids=["the server's account", "our account"])
def test_a_stale_pid_file_that_names_a_living_stranger_is_survived(place: Path, owner: dict[str, object]) -> None:
    host = postgres.start(place / "data", durable=False)
    stale = {file: (Path(host) / file).read_text() for file in ("postmaster.pid", ".s.PGSQL.5432.lock")}
    postgres.stop(place / "data")
    with subprocess.Popen(["sleep", "600"], cwd="/", **owner) as stranger:  # type: ignore[call-overload]
        for file, text in stale.items():
            (Path(host) / file).write_text(text.replace(text.split("\n")[0], str(stranger.pid), 1))
        postgres.stop(place / "data")
        assert stranger.poll() is None
        for file, text in stale.items():
            (Path(host) / file).write_text(text.replace(text.split("\n")[0], str(stranger.pid), 1))
        postgres.start(place / "data", durable=False)
        assert ask(host, "SELECT 1") == 1
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.long
def test_starters_at_the_same_time_share_one_server(place: Path) -> None:
    code = "import sys, pathlib; from apps.sandbox.run import postgres; postgres.ELSEWHERE = pathlib.Path(sys.argv[2]); print(postgres.start(pathlib.Path(sys.argv[1]), durable=False))"
    command = [sys.executable, "-c", code, str(place / "data"), str(place / "elsewhere")]
    starters = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    hosts = {starter.communicate(timeout=60)[0] for starter in starters}  # ends only if no server holds the pipe
    assert {starter.returncode for starter in starters} == {0}
    assert len(hosts) == 1
    assert ask(hosts.pop().strip(), "SELECT 1") == 1
    assert len(list(place.glob("*/**/cluster-*"))) == 1


@pytest.mark.long
@pytest.mark.parametrize("name", ["x" * 120, "a b, c'd"], ids=["too long", "odd characters"])
def test_a_path_that_no_socket_can_have_gets_a_short_private_one(place: Path, name: str) -> None:
    host = postgres.start(place / name / "data", durable=False)
    try:
        assert len(host) < 80
        assert stat.S_IMODE(Path(host).stat().st_mode) == 0o700
        assert ask(host, "SELECT 1") == 1
        assert postgres.start(place / name / "data", durable=False) == host
    finally:
        postgres.stop(place / name / "data", remove=True)
    assert not Path(host).exists()


@pytest.mark.long
def test_a_clone_that_the_server_cannot_reach_gets_a_place_of_its_own(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clone = place / "home/clone"
    clone.mkdir(parents=True)
    (place / "home").chmod(0o700)
    before = rights(clone)
    host = postgres.start(clone / ".data", durable=False)
    write(host, "CREATE TABLE kept AS SELECT 7 AS number")
    said = capsys.readouterr().err
    assert rights(clone) == before
    if os.geteuid() != 0:  # our own account runs the server, and reaches what we reach
        assert Path(host).is_relative_to(clone)
        return
    [home] = (place / "elsewhere").iterdir()
    assert Path(host).parent == home
    assert said.count("\n") == 1
    assert str(home) in said
    assert Path(f"/proc/{pid_of(host)}/exe").readlink() == home / postgres_programs.BIN / "postgres"
    postgres.stop(clone / ".data")
    assert postgres.start(clone / ".data", durable=False) == host
    assert ask(host, "SELECT number FROM kept") == 7

    shutil.rmtree(clone)  # and cloned again: the old data is not the new clone's
    assert ask(postgres.start(clone / ".data", durable=False), "SELECT to_regclass('kept')") is None
    kill_servers_below(place)

    shutil.rmtree(clone)  # and again, after its server has died
    assert ask(postgres.start(clone / ".data", durable=False), "SELECT to_regclass('kept')") is None
    postgres.stop(clone / ".data", remove=True)


@pytest.mark.long
def test_a_server_that_has_died_is_stopped_without_a_word(place: Path) -> None:
    host = postgres.start(place / "data")
    write(host, "CREATE TABLE kept AS SELECT 7 AS number")
    kill_servers_below(place)
    postgres.stop(place / "data")
    assert ask(postgres.start(place / "data"), "SELECT number FROM kept") == 7


@pytest.mark.long
def test_data_deleted_under_a_running_server_is_a_fresh_start(place: Path) -> None:
    write(postgres.start(place / "data", durable=False), "CREATE TABLE gone AS SELECT 1")
    shutil.rmtree(place / "data")
    host = postgres.start(place / "data", durable=False)
    assert ask(host, "SELECT to_regclass('gone')") is None


def test_a_first_start_that_was_killed_is_done_again(place: Path) -> None:
    half = place / "data/cluster-half"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18")
    host = postgres.start(place / "data", durable=False)
    assert ask(host, "SELECT 1") == 1
    assert Path(host) != half


@pytest.mark.long
def test_what_cannot_work_says_so_in_a_sentence(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "file").write_text("")
    with pytest.raises(postgres.PostgresError, match="cannot use"):
        postgres.start(place / "file")
    host = postgres.start(place / "data", durable=False)
    postgres.stop(place / "data")
    (Path(host) / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(postgres.PostgresError, match="no_such_setting"):
        postgres.start(place / "data", durable=False)
    monkeypatch.setattr(postgres_programs, "BIN", "no/such/place")
    with pytest.raises(postgres.PostgresError, match="no/such/place"):
        postgres.start(place / "other")
