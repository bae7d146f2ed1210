"""Finds a Chromium for the browser tests, or gets one: Playwright's own download, else, as root, Debian's package."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# As root Chromium has no sandbox; the rest keeps it from calling home and from asking.
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
PLAYWRIGHT = ((sys.executable, "-m", "playwright", "install", "chromium"),)
APT = (
    ("apt-get", "update", "-qq"),
    ("apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"),
)


class NoBrowserError(RuntimeError):
    """There is no Chromium and none could be got; the message says why in one line."""


def find_or_install() -> str:
    """Return the path of a Chromium that starts; several processes may ask at once. Raises NoBrowserError."""
    with (Path(tempfile.gettempdir()) / f"frontdesk-chromium-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if found := _find():
            return found
        reasons = [_install(PLAYWRIGHT)]
        if found := _find():
            return found
        reasons.append(_install(APT) if os.geteuid() == 0 else "apt-get needs root")
        if found := _find():
            return found
        raise NoBrowserError(f"No Chromium: {'; '.join(reason for reason in reasons if reason)}")


def _find() -> str | None:
    """The first Chromium that says its version: a download may lack system libraries."""
    from playwright.sync_api import sync_playwright

    paths = [path for command in COMMANDS if (path := shutil.which(command))]
    with sync_playwright() as playwright:
        paths.append(playwright.chromium.executable_path)
    return next((path for path in paths if Path(path).exists() and not _run((path, "--version"))), None)


def _install(commands: tuple[tuple[str, ...], ...]) -> str:
    """Run the commands until one fails; return what the failing one said, in one line."""
    return next((reason for command in commands if (reason := _run(command))), "")


def _run(command: tuple[str, ...]) -> str:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{Path(command[0]).name}: {error}"
    lines = (done.stderr or done.stdout).strip().splitlines() or ["failed without a word"]
    reason = next((line for line in lines if "error" in line.lower()), lines[-1])
    return f"{' '.join(command[:4])}: {reason}" if done.returncode else ""
