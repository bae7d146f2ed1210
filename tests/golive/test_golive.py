"""Who types what the manual says, and nothing else, ends with a paying customer, an all-green doctor and all former customers."""

import json
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from apps.sandbox.run import keycloak_distribution
from tests.golive import __main__, chapters, house, machine
from tests.golive.machine import Terminal
from tests.image.machine import Impossible
from tests.world import ROOT

SECONDS, IMPORT_SECONDS = 900, 1800
PAID, IMPORTED = "a customer has paid and has access", "a thousand who were here before are imported"


@pytest.mark.long
@pytest.mark.timeout(SECONDS + 30)
def test_a_house_goes_live_by_what_the_manual_says() -> None:
    assert PAID in go_live(seconds=SECONDS)


@pytest.mark.nightly
@pytest.mark.timeout(IMPORT_SECONDS + 30)
def test_a_house_that_goes_live_takes_a_thousand_former_customers_in() -> None:
    assert IMPORTED in go_live("--import", seconds=IMPORT_SECONDS)


def go_live(*options: str, seconds: int) -> str:
    """What `python -m tests.golive` says, which is a process of its own, as it takes namespaces of its own."""
    if os.geteuid():
        pytest.skip("Only root can make a fresh machine.")
    if reason := keycloak_distribution.missing():
        pytest.skip(reason)
    words = [sys.executable, "-m", "tests.golive", *options]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-5_000:]
    return done.stdout


def test_the_chapters_have_what_is_typed() -> None:
    """Where the long test finds its lines; a chapter that loses one of them is noticed at once."""
    install, database, units = chapters.blocks("systemd", "install")
    assert [line for line in chapters.lines(install) if "manage.py setup" in line]
    assert "createdb" in database
    assert "systemctl enable --now frontdesk-web frontdesk-worker" in units
    assert any("sites-enabled" in one for one in chapters.blocks("proxy", "your-own"))
    assert chapters.table("go-live", "7. The doctor") == ["stripe.mode", "server.version"]


@pytest.mark.parametrize("missing", ["namespaces", "overlays"])
def test_a_machine_that_allows_none_is_left_as_it_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    folder, refused = tmp_path / "golive", mock.Mock(side_effect=Impossible("It allows none."))
    folder.mkdir()
    monkeypatch.setattr(__main__.browser, "find_or_install", mock.Mock())
    monkeypatch.setattr(__main__.tempfile, "mkdtemp", lambda prefix: str(folder))
    monkeypatch.setattr(__main__.namespaces, "enter", refused if missing == "namespaces" else lambda: None)
    monkeypatch.setattr(machine, "lay_overlays", refused)
    monkeypatch.setattr(machine, "leave_internet", mock.Mock(side_effect=AssertionError("it went on")))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert __main__.main() == 1
    assert "Nothing was tried: It allows none." in capsys.readouterr().out
    assert folder.exists() == (missing == "overlays")  # of that the process outside is told, and removes it


@pytest.mark.parametrize(
    ("state", "reason", "is_fine"),
    [
        ("ok", "", True),
        ("unknown", "Keycloak has not been compared completely yet.", True),
        ("unknown", "LOG_FILE names no file, so there is no log to read here.", True),
        ("unknown", "Keycloak does not answer.", False),
        ("unknown", "The check failed with KeyError; the log has the trace.", False),
        ("violated", "", False),
    ],
)
def test_a_law_that_was_not_checked_for_another_reason_fails(state: str, reason: str, is_fine: bool) -> None:
    shell = mock.Mock(spec=Terminal)
    shell.type.return_value = json.dumps([{"law": "L1", "state": state, "reason": reason}])
    if is_fine:
        house.check_laws(shell)
        return
    with pytest.raises(AssertionError, match="L1"):
        house.check_laws(shell)
