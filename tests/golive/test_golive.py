"""Who types what the manual says, and nothing else, ends with a paying customer and an all-green doctor."""

import os
import subprocess
import sys

import pytest

from apps.sandbox.run import keycloak_distribution
from tests.golive import chapters
from tests.world import ROOT

SECONDS = 900


@pytest.mark.long
def test_a_house_goes_live_by_what_the_manual_says() -> None:
    """In a process of its own, as it takes namespaces of its own: `python -m tests.golive`."""
    if os.geteuid():
        pytest.skip("Only root can make a fresh machine.")
    if reason := keycloak_distribution.missing():
        pytest.skip(reason)
    words = [sys.executable, "-m", "tests.golive"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-5_000:]
    assert "a customer has paid and has access" in done.stdout


def test_the_chapters_have_what_is_typed() -> None:
    """Where the long test finds its lines; a chapter that loses one of them is noticed at once."""
    install, database, units = chapters.blocks("systemd", "install")
    assert [line for line in chapters.lines(install) if "manage.py setup" in line]
    assert "createdb" in database
    assert "systemctl enable --now frontdesk-web frontdesk-worker" in units
    assert any("sites-enabled" in one for one in chapters.blocks("proxy", "your-own"))
    assert chapters.table("go-live", "7. The doctor") == ["stripe.mode", "server.version"]
