"""Keycloak's distribution in the user's cache: fetched once by Maven, checked, unpacked and built; never half of it.

Several processes may ask at once: the first does the work under a lock, the others wait for it.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

VERSION = "26.7.3"
ARTIFACT = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
SHA256 = "27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f"
# Fixed when the server is built; a start that may not change them saves twenty seconds.
BUILD = ("--db=dev-mem", "--health-enabled=true", "--metrics-enabled=false")
OLDEST_JAVA = 17
STEP_SECONDS = 600


class KeycloakServerError(RuntimeError):
    """A real Keycloak cannot be had or does not start; the message is for a person."""


def cache() -> Path:
    """Where the unpacked distribution is kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "frontdesk" / f"keycloak-{VERSION}"


def missing() -> str:
    """What is missing on this machine, in one line; empty when nothing is."""
    if not _java() >= OLDEST_JAVA:
        return f"A real Keycloak needs Java {OLDEST_JAVA} or newer, which is not installed."
    if not _whole(cache()) and not shutil.which("mvn"):
        return "A real Keycloak is fetched by Maven (mvn), which is not installed."
    return ""


def installed() -> Path:
    """The folder of the distribution, ready to start; fetched first if need be. Raises KeycloakServerError."""
    if reason := missing():
        raise KeycloakServerError(reason)
    folder = cache()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (folder.parent / f"{folder.name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _whole(folder):
                _install(folder)
    except OSError as error:
        raise KeycloakServerError(f"Keycloak could not be kept in {folder}: {error}") from error
    return folder


def _java() -> int:
    """The major version of Java here; 0 without any."""
    home = os.environ.get("JAVA_HOME")
    program = f"{home}/bin/java" if home else "java"
    try:
        said = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=30, check=False).stderr
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(found[1]) if found else 0


def _whole(folder: Path) -> bool:
    """Whether the folder is there, and built as we build it today."""
    with contextlib.suppress(OSError):
        return (folder / "built").read_text() == " ".join(BUILD)
    return False


def _install(folder: Path) -> None:
    """Fetch, check, unpack and build beside the place, then move there in one step."""
    for left in folder.parent.glob(f"{folder.name}.part-*"):  # of one that was killed; we hold the lock
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}.part-", dir=folder.parent) as name:
        part = Path(name)
        copy = [f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={part}"]
        _run(["mvn", "-B", "-q", "dependency:copy", *copy], part)
        unpacked = _unpacked(part / f"keycloak-quarkus-dist-{VERSION}.zip")
        _run([str(unpacked / "bin" / "kc.sh"), "build", *BUILD], unpacked)
        (unpacked / "built").write_text(" ".join(BUILD))
        shutil.rmtree(folder, ignore_errors=True)
        unpacked.rename(folder)


def _unpacked(file: Path) -> Path:
    """The folder that the zip holds, unpacked beside it, once its checksum is right."""
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != SHA256:
        raise KeycloakServerError(f"{ARTIFACT} has the checksum {found}, not {SHA256}. It is not used.")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(file.parent)
    folder = file.parent / f"keycloak-{VERSION}"
    for script in (folder / "bin").glob("*.sh"):
        script.chmod(0o755)  # zipfile forgets what may be run
    return folder


def _run(command: list[str], folder: Path) -> None:
    """Run one step; KeycloakServerError with the end of what it said when it fails."""
    passed = {name: value for name, value in os.environ.items() if not name.startswith(("KC_", "JAVA_OPTS"))}
    try:
        done = subprocess.run(
            command, cwd=folder, env=passed, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=STEP_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KeycloakServerError(f"`{command[0]}` failed: {error}") from error
    if done.returncode:
        raise KeycloakServerError(f"`{' '.join(command)[:200]}` failed:\n{(done.stdout + done.stderr)[-2000:]}")
