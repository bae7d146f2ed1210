"""Releases as a host has them: a checkout with the libraries of its own lock file."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from apps.sandbox.run.demo import ROOT
from tests.faults.releases import NoHistoryError, git, unpack

DAY_SECONDS = 86_400
POPULATED = "apps/sandbox/populate/__main__.py"


@dataclass(frozen=True)
class Release:
    """`name` is for people."""

    name: str
    root: Path

    @property
    def python(self) -> str:
        """The interpreter with its libraries."""
        return str(self.root / ".venv/bin/python")

    def manage(self, *words: str, env: Mapping[str, str], codes: tuple[int, ...] = (0,)) -> str:
        """What `manage.py` says; AssertionError for an exit code that is none of `codes`."""
        command = [self.python, "manage.py", *words]
        done = subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True, check=False)
        assert done.returncode in codes, f"{self.name}: {' '.join(words)}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout


def of_the_day_before() -> str:
    """The last commit that is a day older than this one, or, where that has no people to populate a house with, the first that has.

    Raises NoHistoryError where the history does not reach that far.
    """
    newest = int(git("log", "-1", "--format=%ct"))
    commit = git("rev-list", "-1", f"--before={newest - DAY_SECONDS}", "HEAD").strip()
    if commit and git("ls-tree", commit, "--", POPULATED):
        return commit
    first = git("log", "--format=%H", "--diff-filter=A", "--", POPULATED).split()
    if not first or not git("log", "-1", "--format=%P", first[-1]).strip():
        raise NoHistoryError("No commit of the day before is here.")
    return first[-1]


def install(commit: str, folder: Path) -> Release:
    """A release of the history, unpacked in `folder`, with what its lock file names."""
    release = Release(git("log", "-1", "--format=%h of %cs", commit).strip(), unpack(commit, folder))
    env = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT"}}
    subprocess.run(["uv", "sync", "--quiet", "--frozen", "--no-dev"], cwd=release.root, env=env, check=True)
    return release


def this() -> Release:
    """The checkout that is tested."""
    return Release("this checkout", ROOT)
