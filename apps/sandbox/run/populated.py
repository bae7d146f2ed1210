"""`manage.py demo --populate`: the clock of a new demo starts a year ago, and `apps.sandbox.populate` lives that year once.

A folder is new, being populated (the marker is there, and empty), or populated (the marker says whom to look at).
"""

import json
import subprocess
import sys
from pathlib import Path

DAYS = 366
SITE = "{site}"
VARIABLES = {"SANDBOX_SAVE_SECONDS": "30"}  # the state of a year takes a while to write
NOT_NEW = (
    "--populate needs a new demo, whose clock can start a year ago."
    " Start over with --reset, or choose another folder with --data."
)


class PopulateError(Exception):
    """The demo cannot be populated; the message is for the person at the terminal."""


def set_clock_back(data: Path) -> dict[str, str]:
    """Before anything starts: a new folder begins a year ago; one that is populated stays as it is. Returns further variables.

    Raises PopulateError for a folder that is neither.
    """
    if whom_to_look_at(data):
        return {}
    state = data / "sandbox" / "sandbox.json"
    if state.exists():
        raise PopulateError(NOT_NEW)
    state.parent.mkdir(parents=True, exist_ok=True)
    state.write_text(json.dumps({"clock_offset": -DAYS * 86_400}))
    return VARIABLES


def populate(data: Path, *, ports: tuple[int, int], env: dict[str, str], root: Path) -> None:
    """Live the year, unless that was done; then print whom to look at."""
    if not whom_to_look_at(data):
        command = [sys.executable, "-m", "apps.sandbox.populate", "--data", str(data)]
        command += ["--port", str(ports[0]), "--sandbox-port", str(ports[1])]
        done = subprocess.run(command, cwd=root, env=env, check=False)
        if done.returncode:
            raise PopulateError("The demo could not be populated; what is above says why. Start over with --reset.")
    print(whom_to_look_at(data).replace(SITE, f"http://localhost:{ports[0]}"), flush=True)


def whom_to_look_at(data: Path) -> str:
    """What a populated folder says, with SITE for the address; empty for others."""
    marker = data / "populated"
    return marker.read_text() if marker.exists() else ""


def write_whom_to_look_at(data: Path, text: str) -> None:
    """The folder is populated."""
    (data / "populated").write_text(text)
