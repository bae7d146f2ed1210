"""The databases of a test run: each is a copy of a template that has all migrations, made once for each set of them.

Promises: runs in one checkout do not disturb each other; a template is complete or is not there; what a killed run left
behind is removed by a later one.
"""

import contextlib
import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
from psycopg import sql

ROOT = Path(__file__).resolve().parents[1]
PREFIX = "frontdesk_template_"
KEPT = 4  # of older sets of migrations; another run may be about to copy one
RUN, TEMPLATE = "FRONTDESK_TEST_RUN", "FRONTDESK_TEST_TEMPLATE"  # variables that the processes of a run inherit


def template() -> str:
    """The name of the template for the migrations as they are now; made when it is not there.

    Expects POSTGRES_* in the environment. Raises CalledProcessError when a migration fails.
    """
    name = f"{PREFIX}{_digest()}"
    lock = Path(tempfile.gettempdir()) / f"{PREFIX}{os.getuid()}.lock"
    with lock.open("w") as held, connect() as connection:
        fcntl.flock(held, fcntl.LOCK_EX)
        if name not in _databases(connection, PREFIX):
            _make(connection, name)
    return name


def connect(database: str = "postgres") -> psycopg.Connection:
    """A connection to `database`; without a name to the server's own, for statements about databases."""
    return psycopg.connect(
        host=os.environ["POSTGRES_HOST"],
        port=os.environ["POSTGRES_PORT"],
        user=os.environ["POSTGRES_USER"],
        password=os.environ["POSTGRES_PASSWORD"],
        dbname=database,
        autocommit=True,
    )


def _digest() -> str:
    """Changes with any migration of ours and any version of the packages."""
    files = [ROOT / "uv.lock", *sorted(ROOT.glob("apps/*/*migrations/*.py"))]
    seen = hashlib.sha256()
    for file in files:
        seen.update(f"{file.relative_to(ROOT)}\n".encode() + file.read_bytes())
    return seen.hexdigest()[:12]


def _make(connection: psycopg.Connection, name: str) -> None:
    """Migrate a draft, then give it its name."""
    draft = f"draft_{name}"
    _drop(connection, draft)
    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(draft)))
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "-v0", "--skip-checks"],
        cwd=ROOT,
        env=os.environ | {"POSTGRES_DB": draft, "DJANGO_SETTINGS_MODULE": "config.settings"},
        check=True,
        stdin=subprocess.DEVNULL,
    )
    connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(draft), sql.Identifier(name)))
    for old in _databases(connection, PREFIX)[KEPT:]:
        _drop(connection, old)


def forget_dead_runs() -> None:
    """Drop the databases of runs whose process is no more; their names hold its number."""
    with connect() as connection:
        for name in _databases(connection, "test_frontdesk_"):
            number = name.removeprefix("test_frontdesk_").partition("_")[0]
            if number.isdecimal() and not _lives(int(number)):
                with contextlib.suppress(psycopg.errors.ObjectInUse):
                    _drop(connection, name)


def _lives(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def _databases(connection: psycopg.Connection, prefix: str) -> list[str]:
    """Names that begin with `prefix`, the newest first."""
    rows = connection.execute(
        "SELECT datname FROM pg_database WHERE starts_with(datname, %s) ORDER BY oid DESC", [prefix]
    )
    return [str(row[0]) for row in rows]


def _drop(connection: psycopg.Connection, name: str) -> None:
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
