"""The list of faults is whole, each fault has its test, and the command says what the last runs have shown."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from apps.sandbox import fault_list
from apps.sandbox.fault_list import FAULTS, run
from tests.fault_results import keep_results

TESTS = Path(__file__).resolve().parents[1]
HERE = "tests/sandbox/test_fault_list.py"


def test_the_list_is_whole() -> None:
    assert [fault.id for fault in FAULTS] == [f"F{number:02}" for number in range(1, 69)]
    assert all(fault.happens and fault.must_hold and fault.times for fault in FAULTS)


def test_each_fault_has_a_test_that_names_it() -> None:
    named = {
        one
        for path in TESTS.rglob("*.py")
        if path != Path(__file__)
        for arguments in re.findall(r"mark\.fault\(([^)]*)\)", path.read_text())
        for one in re.findall(r"F\d\d", arguments)
    }
    assert {fault.id for fault in FAULTS} == named


def report(name: str, *, outcome: str = "passed", when: str = "call", **said: str) -> Any:
    """What pytest tells of a test of F01."""
    properties = [("fault", "F01"), *said.items()]
    return SimpleNamespace(
        nodeid=f"{HERE}::{name}", outcome=outcome, when=when, user_properties=properties, duration=1.2
    )


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(fault_list, "RESULTS", tmp_path / "faults.json")
    return tmp_path / "faults.json"


def test_the_command_prints_what_the_last_run_of_each_test_has_shown(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["F01"]) == 1
    assert "F01  not run" in capsys.readouterr().out
    keep_results([report("test_the_list_is_whole", figure="50 of 50 answered 200")])
    keep_results([report("test_each_fault_has_a_test_that_names_it[x@group]@group")])
    assert run(["F01"]) == 0
    said = capsys.readouterr().out
    assert "F01  proven" in said
    assert "2 of 2 tests passed" in said
    assert "50 of 50 answered 200" in said
    assert run([]) == 1
    assert f"1 of {len(FAULTS)} faults proven" in capsys.readouterr().out


def test_a_test_that_fails_or_cannot_be_tidied_up_proves_nothing(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for one in ({"outcome": "failed"}, {"outcome": "failed", "when": "teardown"}):
        keep_results([report("test_the_list_is_whole"), report("test_the_list_is_whole", **one)])
        assert run(["F01", "--json"]) == 1
        (line,) = json.loads(capsys.readouterr().out)
        assert (line["proven"], line["failed"]) == (False, [f"{HERE}::test_the_list_is_whole"])
    keep_results([report("test_the_list_is_whole")])
    assert run(["F01"]) == 0


def test_a_test_that_is_gone_or_was_skipped_says_nothing(results: Path) -> None:
    keep_results([report("test_of_another_release"), report("test_the_list_is_whole", outcome="skipped")])
    assert fault_list.read_results() == {}


def test_an_unknown_fault_is_refused(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(["F99"])
    assert "There is no fault F99. They are F01 to F68." in capsys.readouterr().err
