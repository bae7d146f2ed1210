"""A house with people takes an update and the way back, and the drill that says so would notice a loss."""

import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from apps.sandbox.run.demo import ROOT
from tests.faults.releases import NoHistoryError
from tests.upgrade import __main__, people, releases
from tests.upgrade.releases import Release

SECONDS = 1200
HAD: people.Having = {
    "account": {"dana": (True, {"storage_gb": ["100"]}, ["/frontdesk"])},
    "seat": {(1, "cloud"): "assigned"},
}


@pytest.mark.nightly
@pytest.mark.timeout(SECONDS + 30)
@pytest.mark.xdist_group("outage")
def test_a_house_with_people_goes_to_this_release_and_back() -> None:
    try:
        releases.of_the_day_before()
    except NoHistoryError as error:
        pytest.skip(
            f"The release of the day before is in the history, which is not here: git fetch --unshallow. {error}"
        )
    words = [sys.executable, "-m", "tests.upgrade"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-5_000:]
    assert done.stdout.count("people have what they had, and one more has signed up") == 3


def test_what_somebody_has_no_more_is_lost_and_what_is_new_is_not() -> None:
    more = HAD | {"account": HAD["account"] | {"wanda": (True, {}, [])}}
    assert people.lost(HAD, more) == []
    assert people.lost(HAD, HAD | {"account": {"dana": (False, {"storage_gb": ["100"]}, ["/frontdesk"])}})[
        0
    ].startswith("account dana")
    assert people.lost(HAD, HAD | {"seat": {}}) == ["seat (1, 'cloud'): assigned became None"]


@pytest.mark.parametrize(
    ("now", "is_worse"),
    [
        ({"stripe.webhook": ("passed", "")}, False),
        ({"stripe.webhook": ("error", "It is gone.")}, True),
        ({"server.version": ("warning", "It is old.")}, False),
        ({"server.version": ("error", "It is too old.")}, True),
        ({"realm.languages": ("warning", "Only the newer one looks at it.")}, False),
    ],
)
def test_a_row_of_the_doctor_may_not_get_worse(
    monkeypatch: pytest.MonkeyPatch, now: dict[str, tuple[str, str]], is_worse: bool
) -> None:
    update = __main__.Update(mock.Mock(), mock.Mock(), mock.Mock())
    update.doctor = {"stripe.webhook": ("passed", ""), "server.version": ("warning", "It is old.")}
    monkeypatch.setattr(people, "complaints", lambda _house, _release: now)
    if not is_worse:
        update.compare_doctor(update.new)
        return
    with pytest.raises(AssertionError, match="worse for the doctor"):
        update.compare_doctor(update.new)


def test_a_command_that_fails_says_what_it_said(tmp_path: Path) -> None:
    interpreter = tmp_path / ".venv/bin/python"
    interpreter.parent.mkdir(parents=True)
    interpreter.symlink_to(sys.executable)
    (tmp_path / "manage.py").write_text("import sys; print('no such table'); sys.exit(3)")
    with pytest.raises(AssertionError, match="no such table"):
        Release("the old one", tmp_path).manage("migrate", env={})
    assert Release("the old one", tmp_path).manage("migrate", env={}, codes=(3,)) == "no such table\n"
