"""`manage.py simulate` as a person types it: lives without a difference, and a row of the policy missed when it is gone."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.world import ROOT

pytestmark = [pytest.mark.long, pytest.mark.timeout(900), pytest.mark.xdist_group("demo")]


def operators() -> dict[str, str]:
    """An operator's environment: what the tests set is not in it."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "JAVA_HOME") if name in os.environ}


def simulate(*options: str, **environment: str) -> tuple[int, dict[str, object], str]:
    """The exit code, what it reports, and what it says on the way."""
    done = subprocess.run(
        [sys.executable, "manage.py", "simulate", "--json", *options],
        cwd=ROOT, env=operators() | environment, capture_output=True, text=True, check=False, timeout=880,
    )  # fmt: skip
    start = done.stdout.find("{\n")
    return (
        done.returncode,
        json.loads(done.stdout[start:].partition("\n}")[0] + "\n}") if start >= 0 else {},
        done.stderr,
    )


def test_a_few_lives_end_without_a_difference_in_spite_of_faults() -> None:
    code, found, said = simulate("--subscribers", "6", "--months", "2", "--seed", "7", "--faults")
    assert (code, found.get("found"), found.get("laws")) == (0, [], []), said[-2000:]
    assert int(str(found["compared"])) >= 20


@pytest.mark.nightly
def test_a_killed_simulation_goes_on_with_the_month_after_the_last_one_kept(tmp_path: Path) -> None:
    few = ["--subscribers", "3", "--months", "2", "--seed", "5", "--compare-days", "15"]
    command = [sys.executable, "manage.py", "simulate", *few, "--folder", str(tmp_path)]
    with subprocess.Popen(
        command, cwd=ROOT, env=operators(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            deadline = time.monotonic() + 400
            while not (tmp_path / "snapshot").exists():
                assert process.poll() is None
                assert time.monotonic() < deadline, "no month has ended"
                time.sleep(0.2)
        finally:
            process.kill()
    code, found, said = simulate("--folder", str(tmp_path), "--resume")
    assert (code, found.get("found"), found.get("laws")) == (0, [], []), said[-2000:]
    assert "day 30:" not in said
    assert "day 60:" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.nightly
@pytest.mark.mutant
def test_mutant_a_row_of_the_policy_that_is_missing_is_found() -> None:
    """In one process, test_simulated_lives.py takes out each of the nine."""
    row = 6
    few = ("--subscribers", "18", "--months", "2", "--seed", "3", "--compare-days", "5", "--stop")
    code, found, said = simulate(*few, "--settings", "tests.faults.mutant_settings", MUTANT_ROW=str(row))
    assert (code, bool(found)) == (1, True), said[-2000:]
    assert row in {one["row"] for one in found["found"]}, found["found"]  # type: ignore[attr-defined]
