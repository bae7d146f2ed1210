"""The earlier stack is measured where it is installed, and asked for in one sentence where it is not."""

import pytest

from apps.sandbox.bench import command, earlier


def test_a_machine_without_it_is_told_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(earlier, "PACKAGES", ("django", "frontdesk_has_no_such_package"))
    assert command.run(["--path", "earlier"]) == 1
    assert capsys.readouterr().err == (
        "The earlier stack needs frontdesk_has_no_such_package: run `uv sync --group bench` first.\n"
    )
    assert command.choose(None) == [path for path in command.PATHS if path != "earlier"]
    assert capsys.readouterr().err.startswith("Not measured: The earlier stack needs")
    assert command.choose(["queue"]) == ["queue"]
    assert not capsys.readouterr().err


@pytest.mark.parametrize("asked", [None, ["earlier"]])
def test_a_machine_with_it_measures_it(monkeypatch, capsys, asked):
    monkeypatch.setattr(earlier, "PACKAGES", ("django",))
    assert "earlier" in command.choose(asked)
    assert not capsys.readouterr().err
