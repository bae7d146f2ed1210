"""A real Keycloak's clock, moved by the file that moves ours: a small Java agent, compiled where it is used.

Rehearsals jump weeks ahead, and a login must be dated by the clock of who checks it.
"""

import shutil
import subprocess
import zipfile
from pathlib import Path

from apps.sandbox.run.keycloak_distribution import KeycloakServerError

SOURCE = Path(__file__).resolve().parent / "keycloak" / "Clock.java"
MANIFEST = "Manifest-Version: 1.0\nPremain-Class: Clock\n"


def missing() -> str:
    """What is missing on this machine for it, in one line; empty when nothing is."""
    return "" if shutil.which("javac") else "Moving Keycloak's clock needs a JDK (javac), which is not installed."


def option(folder: Path, clock: Path) -> str:
    """Java's option that makes Keycloak follow the file `clock`; the agent is put into `folder`."""
    if reason := missing():
        raise KeycloakServerError(reason)
    command = ["javac", "-d", str(folder), str(SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise KeycloakServerError(f"{SOURCE.name} does not compile: {done.stderr[-1000:]}")
    with zipfile.ZipFile(folder / "clock.jar", "w") as jar:
        jar.writestr("META-INF/MANIFEST.MF", MANIFEST)
        jar.write(folder / "Clock.class", "Clock.class")
    return f'"-javaagent:{folder / "clock.jar"}={clock}"'
