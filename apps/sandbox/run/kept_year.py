"""The year of a populated demo, kept in the user's cache: the next demo of the same code starts with it instead of living it again.

Kept are the database, the state of the stand-ins, and the files beside them. Promises: a year is kept as a whole or not at all; only
the code that lived it uses it, on the same ports, since its links name them; one is kept, and for a week. The clock of a demo that
starts with it goes on where the year ended.
"""

import contextlib
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from apps.sandbox.run import postgres
from apps.sandbox.run.keycloak_distribution import cache
from apps.sandbox.run.postgres_programs import PostgresError, program

PREFIX = "populated-"
LONGEST_SECONDS = 7 * 86_400  # "yesterday" in the console is then still something that a person remembers
CODE = ("apps", "config", "templates")
DUMP, STATE, TEXT, LIVED_AT = "database.dump", "sandbox.json", "populated", "lived-at"
SECRET, MARKER = "django-secret-key", "restore-marker"  # the key reads what the database has encrypted
STEP_SECONDS = 300
ROOT = Path(__file__).resolve().parents[3]


def find(ports: tuple[int, int]) -> Path | None:
    """The folder with the year that this code has lived on these ports, if it is there."""
    folder = _folder(ports)
    with contextlib.suppress(OSError, ValueError):
        if 0 <= time.time() - lived_at(folder) < LONGEST_SECONDS:
            return folder
    return None


def keep(data: Path, ports: tuple[int, int], text: str) -> None:
    """Keep the year of the demo in `data`, whose stand-ins have saved their state, and what it says, in the place of any other.

    A cache that cannot be written to costs the next demo its minute, and this one nothing: a line says so.
    """
    folder = _folder(ports)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{PREFIX}part-", dir=folder.parent) as name:
            part = Path(name) / "year"
            part.mkdir(0o700)
            _fill(part, data)
            (part / TEXT).write_text(text)
            for old in folder.parent.glob(f"{PREFIX}*"):
                if old != part.parent:
                    shutil.rmtree(old, ignore_errors=True)
            part.rename(folder)
    except (OSError, PostgresError) as error:
        sys.stderr.write(f"The year is not kept for the next time: {error}\n")


def read_text(kept: Path) -> str:
    """What it says to the person at the terminal."""
    return (kept / TEXT).read_text()


def lived_at(kept: Path) -> float:
    """When it ended, in Unix seconds of the system's clock."""
    return float((kept / LIVED_AT).read_text())


def restore_files(kept: Path, data: Path) -> None:
    """Into a new folder, before anything starts: the stand-ins' state with their clock, and the files beside it."""
    for name in (SECRET, MARKER):
        if (kept / name).exists():
            shutil.copy2(kept / name, data / name)
    state = json.loads((kept / STATE).read_text())
    state["clock_offset"] += int(lived_at(kept) - time.time())
    (data / "sandbox").mkdir(exist_ok=True)
    (data / "sandbox" / "sandbox.json").write_text(json.dumps(state))


def restore_database(kept: Path, data: Path, host: str) -> None:
    """Into a new, empty database. Raises PostgresError."""
    words = [
        "-h",
        host,
        "-U",
        postgres.NAME,
        "-d",
        postgres.NAME,
        "--no-owner",
        "--no-privileges",
        "--exit-on-error",
        "-j2",
    ]
    _run([str(program("pg_restore", data / "postgres")), *words, str(kept / DUMP)])


def _fill(part: Path, data: Path) -> None:
    """The marker before the database: it may be behind, and never ahead."""
    for name in (SECRET, MARKER):
        if (data / name).exists():
            shutil.copy2(data / name, part / name)
    (part / LIVED_AT).write_text(str(time.time()))
    shutil.copy2(data / "sandbox" / "sandbox.json", part / STATE)
    host = postgres.start(data / "postgres")
    words = ["-h", host, "-U", postgres.NAME, "-d", postgres.NAME, "--format=custom", "--compress=1"]
    _run([str(program("pg_dump", data / "postgres")), *words, "-f", str(part / DUMP)])


def _run(command: list[str]) -> None:
    """One of Postgres' clients, with nothing of ours that could mislead it."""
    try:
        done = subprocess.run(
            command, env={"LC_ALL": "C"}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=STEP_SECONDS,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PostgresError(f"{command[0]} failed: {error}") from error
    if done.returncode:
        raise PostgresError(f"{command[0]} failed: {done.stderr[-1000:]}")


def _folder(ports: tuple[int, int]) -> Path:
    seen = hashlib.sha256(repr(ports).encode())
    for file in _code():
        seen.update(f"{file.relative_to(ROOT)}\n".encode() + file.read_bytes())
    return cache().parent / f"{PREFIX}{seen.hexdigest()[:16]}"


def _code() -> Iterator[Path]:
    """What a year may depend on."""
    yield ROOT / "uv.lock"
    for name in CODE:
        yield from sorted(
            file for file in (ROOT / name).rglob("*") if file.is_file() and "__pycache__" not in file.parts
        )
