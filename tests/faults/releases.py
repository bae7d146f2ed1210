"""Two releases of Frontdesk on one database: the checkout that is tested, the one before it, and one that may come after it."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from apps.sandbox.run import postgres
from apps.sandbox.run.demo import ROOT
from apps.sandbox.run.servers import answers, free_port
from apps.sandbox.walk import Walk
from tests.faults.outage import DATABASE, Stack, wait_for

PARTS = ("apps", "config", "templates", "static", "tests", "manage.py", "pyproject.toml")
MIGRATION = """
from django.contrib.postgres.operations import AddConstraintNotValid, AddIndexConcurrently, ValidateConstraint
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = {atomic}
    dependencies = [("{app}", "{after}")]
    operations = [{operation}]
"""


class NoHistoryError(RuntimeError):
    """This checkout does not hold the commits before it."""


def previous_release(folder: Path) -> Path:
    """The code as it was before the newest migration was added, in `folder`."""
    newest = git("log", "-1", "--format=%H", "--diff-filter=A", "--", "apps/*migrations/0*.py").strip()
    if not newest:
        raise NoHistoryError("No commit here adds a migration.")
    return unpack(f"{newest}~1", folder)


def unpack(commit: str, folder: Path) -> Path:
    """The files of a commit, below `folder`."""
    packed = folder / "previous.tar"
    git("archive", f"--output={packed}", commit)
    shutil.unpack_archive(packed, folder / "previous", filter="data")
    return folder / "previous"


def git(*words: str) -> str:
    """What git says about this checkout; NoHistoryError when it refuses."""
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoHistoryError(f"git {words[0]}: {getattr(error, 'stderr', '') or error}") from error
    return done.stdout


def next_release(folder: Path, *operations: tuple[str, str], model: tuple[str, str, str] | None = None) -> Path:
    """A copy of the checkout with further migrations, each of one (app, operation), and a line after another in a model's file."""
    root = folder / "next"
    root.mkdir()
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, root / part, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
        else:
            shutil.copy(source, root / part)
    for app, operation in operations:
        home = root / "apps" / app / "migrations"
        last = max(one.stem for one in home.glob("0*.py"))
        name = f"{int(last[:4]) + 1:04}_next"
        text = MIGRATION.format(app=app, after=last, operation=operation, atomic="Concurrently" not in operation)
        (home / f"{name}.py").write_text(text)
    if model:
        path, line, further = model
        text = (root / path).read_text()
        assert line in text
        (root / path).write_text(text.replace(line, f"{line}\n{further}", 1))
    return root


def migrate(stack: Stack, root: Path, *, said: list[str], patience: str = "") -> int:
    """`manage.py migrate` of the release at `root`, line by line; its exit code. `patience`: how long it waits for a table."""
    setting = (
        f"from apps.core.management.commands import migrate; migrate.LOCK_SECONDS = {patience}; " if patience else ""
    )
    command = f"import sys; {setting}sys.argv = ['manage.py', 'migrate']; import manage; manage.main()"
    with subprocess.Popen(
        [sys.executable, "-u", "-c", command], cwd=root, env=stack.env, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        assert process.stdout
        said.extend(line.rstrip() for line in process.stdout)
    return process.returncode


@contextmanager
def beside(stack: Stack, root: Path) -> Iterator[str]:
    """Web and worker of the release at `root`, beside those of the stack; their address."""
    port, folder = free_port(), stack.data / "beside"
    site = f"http://localhost:{port}"
    folder.mkdir()
    command = [sys.executable, "-m", "apps.sandbox.run.site", str(port), str(folder)]
    with (folder / "site.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=root, env=stack.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_for(lambda: answers(f"{site}/health/"), what="the next release is up", seconds=180)
        yield site
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def reading(stack: Stack, table: str) -> Iterator[psycopg.Connection]:
    """Somebody reads a table for a long time, as a backup or a report does."""
    with psycopg.connect(host=stack.env["POSTGRES_HOST"], user=postgres.NAME, dbname=DATABASE) as connection:
        connection.execute(f"SELECT count(*) FROM {table}")  # type: ignore[call-overload]
        yield connection


class Signups:
    """People who sign up and pay one after the other, over HTTP; what went wrong for any of them."""

    def __init__(self, stack: Stack) -> None:
        self.stack, self.done = stack, 0
        self.errors: list[str] = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Signups":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()

    def _run(self) -> None:
        while not self.over.is_set():
            self.stack.ask("DELETE FROM core_ratelimit")  # all come from one address
            try:
                sign_up(self.stack.site, self.stack.sandbox)
            except Exception as error:  # noqa: BLE001  (whatever it is, somebody could not sign up)
                self.errors.append(repr(error))
                return
            self.done += 1


def sign_up(site: str, sandbox: str) -> None:
    """One person, until the page says that all is ready."""
    walk = Walk(site, sandbox)
    walk.sign_up()
    walk.until("the success page says it is done", lambda: walk.customer.state()["finished"])
