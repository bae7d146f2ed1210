"""`manage.py demo --populate`: a demo with a year behind it. The first one lives that year, from a clock that starts a year ago.

The next ones of the same code start with the year that the first has lived (kept_year.py). A folder is new, being populated (it
has a state, and does not say whom to look at), or populated.
"""

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path

from apps.sandbox.run import kept_year

DAYS = 366
SITE = "{site}"
MARKER = "populated"
QUIET = {"LOG_LEVEL": "ERROR"}  # of the process that lives the year: it runs jobs too
VARIABLES = {"SANDBOX_SAVE_SECONDS": "30"}  # the state of a year takes a while to write
NOT_NEW = (
    "--populate needs a new demo, whose clock can start a year ago."
    " Start over with --reset, or choose another folder with --data."
)


class PopulateError(Exception):
    """The demo cannot be populated; the message is for the person at the terminal."""


class Population:
    """The people of the demo in `data`. `may_be_kept`: whether all of its state can be: not that of a real Keycloak."""

    def __init__(self, data: Path, ports: tuple[int, int], *, may_be_kept: bool) -> None:
        self.data, self.ports, self.may_be_kept = data, ports, may_be_kept
        self.kept: Path | None = None

    def prepare(self) -> None:
        """Before anything starts: a new folder gets the kept year, or its clock begins a year ago; a populated one stays as it is.

        Raises PopulateError for a folder that is neither.
        """
        if self.whom_to_look_at():
            return
        state = self.data / "sandbox" / "sandbox.json"
        if state.exists():
            raise PopulateError(NOT_NEW)
        self.kept = kept_year.find(self.ports) if self.may_be_kept else None
        if self.kept:
            kept_year.restore_files(self.kept, self.data)
        else:
            state.parent.mkdir(parents=True, exist_ok=True)
            state.write_text(json.dumps({"clock_offset": -DAYS * 86_400}))

    @property
    def variables(self) -> dict[str, str]:
        """Of the environment, while a year is lived."""
        return {} if self.kept or self.whom_to_look_at() else VARIABLES

    @property
    def announcement(self) -> str:
        """What the person at the terminal waits for."""
        if self.kept or self.whom_to_look_at():
            return "Sixty people have lived here for a year"
        return "Now a year of sixty people; you can look around while it fills"

    def fill(self, host: str) -> None:
        """Put the kept year, if there is one, into the new database."""
        if self.kept:
            kept_year.restore_database(self.kept, self.data, host)

    def complete(self, *, env: dict[str, str], root: Path) -> None:
        """Once all runs: live the year, unless it is there; then print whom to look at."""
        if not self.whom_to_look_at():
            command = [sys.executable, "-m", "apps.sandbox.populate", "--data", str(self.data)]
            command += ["--port", str(self.ports[0]), "--sandbox-port", str(self.ports[1])]
            command += ["--kept", str(self.kept)] if self.kept else ["--keep"] if self.may_be_kept else []
            done = subprocess.run(command, cwd=root, env=env | QUIET, check=False)
            if done.returncode:
                raise PopulateError("The demo could not be populated; what is above says why. Start over with --reset.")
        print(self.whom_to_look_at().replace(SITE, f"http://localhost:{self.ports[0]}"), flush=True)
        if self.kept:
            day = dt.datetime.fromtimestamp(kept_year.lived_at(self.kept), tz=dt.UTC)
            print(
                f"Its year was lived on {day:%d %B}, and its clock goes on from there. {self.kept} keeps it.\n",
                flush=True,
            )

    def whom_to_look_at(self) -> str:
        """What a populated folder says, with SITE for the address; empty for others."""
        marker = self.data / MARKER
        return marker.read_text() if marker.exists() else ""


def write_whom_to_look_at(data: Path, text: str) -> None:
    """The folder is populated."""
    (data / MARKER).write_text(text)
