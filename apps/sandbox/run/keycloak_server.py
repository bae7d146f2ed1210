"""A real Keycloak with nothing to install but Java: for the contract tests and `manage.py demo --keycloak real`.

Promises: the distribution is fetched once by Maven, its checksum is checked, and it is kept unpacked in the user's cache
(never half of it); several may start at once; each server has a folder of its own, answers on loopback only and keeps
nothing unless asked to; it is stopped with everything it started, also when the process that started it dies.
KEYCLOAK_URL names a running server to use instead: there we work in a realm of our own and remove it at the end.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from apps.core.process_lifetime import stopped_with_parent
from apps.sandbox.run import keycloak_clock, keycloak_distribution, keycloak_realm, realm_file
from apps.sandbox.run.keycloak_distribution import KeycloakServerError
from apps.sandbox.run.servers import answers, free_port

READY_SECONDS = 300
STOP_SECONDS = 20
ADMIN = "admin"
HEAP = "-Xms128m -Xmx512m"
# The quick compiler alone: such a server lives for minutes, and starts in two thirds of the processor's time.
JAVA = "-XX:TieredStopAtLevel=1"
NOT_PASSED = ("KC_", "JAVA_OPTS", "DEBUG", "FRONTDESK_", "NEXTCLOUD_", "VAULTWARDEN_")


@dataclass(frozen=True, kw_only=True)
class Server:
    """A Keycloak that answers: its address, the realm that is ours, and the login of its own administrator."""

    url: str
    realm: str
    username: str
    password: str

    @property
    def realm_url(self) -> str:
        """The realm's address, also the issuer of its tokens."""
        return f"{self.url}/realms/{self.realm}"


def available() -> str:
    """Why no real Keycloak can be had here, in one line; empty when it can."""
    return "" if os.environ.get("KEYCLOAK_URL") else keycloak_distribution.missing()


@contextlib.contextmanager
def running(
    values: Mapping[str, str], *, folder: Path | None = None, port: int = 0, clock: Path | None = None
) -> Iterator[Server]:
    """A server with our realm, whose placeholders are filled with `values`, for as long as the block runs.

    `folder` keeps its database and log for the next time; without it nothing is kept. Its clock follows the file
    `clock`, if one is given. Raises KeycloakServerError.
    """
    borrowed = os.environ.get("KEYCLOAK_URL", "").rstrip("/")
    if borrowed and folder is None:
        username, password = os.environ.get("KEYCLOAK_ADMIN", ADMIN), os.environ.get("KEYCLOAK_ADMIN_PASSWORD", ADMIN)
        realm = keycloak_realm.make(borrowed, (username, password), values)
        try:
            yield Server(url=borrowed, realm=realm, username=username, password=password)
        finally:
            keycloak_realm.remove(borrowed, (username, password), realm)
        return
    distribution = keycloak_distribution.installed()
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="frontdesk-keycloak-")))
            database = "--db=dev-mem"
        else:  # as of --db=dev-file, which is another build
            database = f"--db-url=jdbc:h2:file:{folder.resolve()}/database;NON_KEYWORDS=VALUE;DB_CLOSE_ON_EXIT=FALSE"
        home = _home(folder, distribution)
        java = f"{JAVA} {keycloak_clock.option(home, clock)}" if clock else JAVA
        settings = _environment(values) | {"JAVA_OPTS_APPEND": java}
        yield stack.enter_context(_process(home, folder / "keycloak.log", settings, port=port, database=database))


def _home(folder: Path, distribution: Path) -> Path:
    """A Keycloak folder of one server: the distribution by links, and a place of its own for what it writes."""
    home = folder / "home"
    shutil.rmtree(home, ignore_errors=True)
    (home / "bin").mkdir(parents=True)
    (home / "data" / "import").mkdir(parents=True)
    shutil.copy2(distribution / "bin" / "kc.sh", home / "bin")  # it looks for everything beside itself
    for name in ("lib", "conf", "themes", "providers", "version.txt"):
        (home / name).symlink_to(distribution / name)
    shutil.copy(realm_file.PATH, home / "data" / "import")
    (home / "data" / "password-blacklists").mkdir()
    shutil.copy(realm_file.DENY_LIST, home / "data" / "password-blacklists")
    return home


@contextlib.contextmanager
def _process(home: Path, log: Path, settings: dict[str, str], *, port: int, database: str) -> Iterator[Server]:
    """Start the server of `home`, wait until it is ready, and stop it at the end of the block."""
    port, management = port or free_port(), free_port()
    command = [
        str(home / "bin" / "kc.sh"), "start", "--optimized", "--import-realm", "--cache=local",
        "--http-enabled=true", "--hostname-strict=false", "--http-host=127.0.0.1", f"--http-port={port}",
        f"--http-management-port={management}", database,
    ]  # fmt: skip
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=home, env=settings, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True, preexec_fn=stopped_with_parent,  # noqa: PLW1509  (one call into libc)
        )  # fmt: skip
    try:
        _await(process, f"http://127.0.0.1:{management}/health/ready", log)
        yield Server(url=f"http://127.0.0.1:{port}", realm="frontdesk", username=ADMIN, password=ADMIN)
    finally:
        _end(process)


def _environment(values: Mapping[str, str]) -> dict[str, str]:
    passed = {name: value for name, value in os.environ.items() if not name.startswith(NOT_PASSED)}
    ours = {"KC_BOOTSTRAP_ADMIN_USERNAME": ADMIN, "KC_BOOTSTRAP_ADMIN_PASSWORD": ADMIN}
    return passed | ours | {"JAVA_OPTS_KC_HEAP": HEAP} | dict(values)


def _await(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Return when the server says it is ready; KeycloakServerError with the end of its log when it does not."""
    deadline = time.monotonic() + READY_SECONDS
    while not answers(url):
        ended = process.poll() is not None
        if ended or time.monotonic() > deadline:
            what = "ended while starting" if ended else f"was not ready after {READY_SECONDS} s"
            tail = log.read_text(errors="replace")[-3000:]
            raise KeycloakServerError(f"Keycloak {what}. The end of its log:\n{tail}")
        time.sleep(0.2)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop the script and the Java it started: in order if they do so in time, else at once."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
