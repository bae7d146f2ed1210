"""Stops a Postgres that nobody uses any more: a run of the tests leaves one for the next run, but not for ever.

Who uses it holds a shared lock on `users` as long as the process lives, whatever ends it. A process of its own (one for each
server) waits for the exclusive lock, and stops the server when nobody has come for a while. Where the clone was deleted
meanwhile, what is left of its databases is deleted too.
"""

import atexit
import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from apps.sandbox.run import postgres
from apps.sandbox.run.postgres_programs import PostgresError

IDLE_SECONDS = 300.0
ROOT = Path(__file__).resolve().parents[3]

_held: dict[Path, IO[str]] = {}  # until this process ends


def start_until_idle(data: Path, *, idle_seconds: float = IDLE_SECONDS) -> str:
    """As `postgres.start` without durability; the server stops when no user has been there for so long."""
    data.mkdir(parents=True, exist_ok=True)
    if data not in _held:
        _held[data] = (data / "users").open("a")
        atexit.register(_held[data].close)
        fcntl.flock(_held[data], fcntl.LOCK_SH)
    host = postgres.start(data, durable=False)
    home = (data / "elsewhere").resolve() if (data / "elsewhere").exists() else data
    with (data / "users").open("a") as users, (data / "waiter").open("a") as waiter:  # given: the clone may go
        files = (users.fileno(), waiter.fileno())
        command = [sys.executable, "-m", __name__, str(data), str(home), str(idle_seconds), *map(str, files)]
        process = subprocess.Popen(
            command, cwd=ROOT, start_new_session=True, pass_fds=files,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        process.returncode = 0  # nobody waits for it: Python would warn of that
    return host


def main(data: Path, home: Path, idle_seconds: float, users: int, waiter: int) -> None:
    """The process that waits and stops the server on `data`; where another does so already, it ends at once."""
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(waiter, fcntl.LOCK_EX | fcntl.LOCK_NB)
        stopped = False
        while not stopped:
            fcntl.flock(users, fcntl.LOCK_EX)
            fcntl.flock(users, fcntl.LOCK_UN)
            time.sleep(idle_seconds)
            stopped = _stop_if_unused(data, home, users)
    os.close(waiter)  # before `users`: who comes now waits for that, and then finds that nobody waits
    os.close(users)


def _stop_if_unused(data: Path, home: Path, users: int) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    with contextlib.suppress(PostgresError):  # nobody is here to read what is wrong
        if data.exists():
            postgres.stop(data)
        elif home != data:  # else the server sees by itself that its files are gone
            postgres.stop(home, remove=True)
            shutil.rmtree(home)
    return True


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
