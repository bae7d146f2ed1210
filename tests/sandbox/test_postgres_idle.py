"""The tests' Postgres ends by itself, for real: users are processes of their own, which are killed."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.sandbox.run import postgres_idle
from tests.faults.outage import wait_for
from tests.sandbox.test_postgres import ask, pid_of, place, works

__all__ = ["place"]
CODE = """
import pathlib, sys, time
from apps.sandbox.run import postgres, postgres_idle
postgres.ELSEWHERE = pathlib.Path(sys.argv[2])
print(postgres_idle.start_until_idle(pathlib.Path(sys.argv[1]), idle_seconds=float(sys.argv[3])), flush=True)
time.sleep(600)
"""


class User:
    """A process that uses the server on `data` until it is killed."""

    def __init__(self, data: Path, elsewhere: Path, idle_seconds: float) -> None:
        command = [sys.executable, "-c", CODE, str(data), str(elsewhere), str(idle_seconds)]
        self.process = subprocess.Popen(command, cwd=postgres_idle.ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.host = self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


@pytest.fixture
def users() -> Iterator[list[User]]:
    made: list[User] = []
    yield made
    for user in made:
        user.kill()


@pytest.mark.long
def test_a_server_ends_soon_after_its_last_user(place: Path, users: list[User]) -> None:
    users += [User(place / "data", place / "elsewhere", 0.2) for _ in range(2)]
    server = pid_of(users[0].host)
    users[0].kill()
    assert ask(users[1].host, "SELECT 7") == 7
    assert works(server)
    users[1].kill()
    wait_for(lambda: not works(server), what="the end of the server")

    users.append(User(place / "data", place / "elsewhere", 0.2))  # who comes later finds one again, and it ends too
    assert ask(users[2].host, "SELECT 7") == 7
    again = pid_of(users[2].host)
    users[2].kill()
    wait_for(lambda: not works(again), what="the end of the second")


def test_a_server_is_kept_for_who_comes_in_time(place: Path, users: list[User]) -> None:
    users.append(User(place / "data", place / "elsewhere", 600))
    server = pid_of(users[0].host)
    users[0].kill()
    users.append(User(place / "data", place / "elsewhere", 600))
    assert pid_of(users[1].host) == server
    assert ask(users[1].host, "SELECT 7") == 7


def test_what_a_deleted_clone_leaves_is_removed(place: Path, users: list[User]) -> None:
    clone = place / "home/clone"
    clone.mkdir(parents=True)
    (place / "home").chmod(0o700)
    users.append(User(clone / "data", place / "elsewhere", 0.2))
    server = pid_of(users[0].host)
    shutil.rmtree(clone)
    users[0].kill()
    if (place / "elsewhere").exists():  # where root runs it as somebody else
        wait_for(lambda: not list((place / "elsewhere").iterdir()), what="an empty place")
        assert not works(server)
    assert not clone.exists()
