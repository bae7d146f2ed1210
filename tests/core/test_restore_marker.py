"""A restored database is noticed by the file outside it; nothing else is taken for one."""

import json
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.access import reconcile
from apps.core import clock, dependencies, jobs, restore_marker, restores
from apps.core.models import AttentionItem, Dependency, Job, RestoreCheck, RestoreMarker
from apps.operations.doctor import check_frontdesk
from tests.world import World

pytestmark = pytest.mark.django_db


@pytest.fixture
def marker(settings: Any, tmp_path: Path) -> Path:
    settings.RESTORE_MARKER_FILE = str(tmp_path / "marker")
    restores._paused.forget()
    return tmp_path / "marker"


def older_by(minutes: int) -> None:
    """As after a backup of so many minutes ago."""
    row = RestoreMarker.objects.get()
    RestoreMarker.objects.update(count=row.count - minutes)


def noticed() -> bool:
    restore_marker.check()
    return dependencies.is_paused(dependencies.RESTORED)


def causes() -> list[str]:
    return list(AttentionItem.objects.filter(cause="restored", resolved_at=None).values_list("key", flat=True))


def test_a_first_start_makes_the_file_and_asks_nobody(marker: Path) -> None:
    restore_marker.advance()
    restore_marker.advance()
    assert json.loads(marker.read_text())["count"] == RestoreMarker.objects.get().count == 2
    assert (noticed(), causes()) == (False, [])


@pytest.mark.parametrize("minutes", [1, 60])
def test_an_older_database_is_noticed_once(marker: Path, minutes: int) -> None:
    for _ in range(61):
        restore_marker.advance()
    older_by(minutes)
    assert noticed()
    restore_marker.advance()
    restore_marker.advance()
    check = RestoreCheck.objects.get()
    assert f" {minutes} minutes" in check.evidence
    assert causes() == ["database"]


def test_another_database_is_noticed_also_one_from_before_there_was_a_marker(marker: Path) -> None:
    restore_marker.advance()
    RestoreMarker.objects.all().delete()
    assert noticed()
    restore_marker.advance()
    assert RestoreCheck.objects.count() == 1


@pytest.mark.parametrize("broken", ["", "{", '{"database": 7}', None])
def test_a_lost_marker_is_a_question_and_no_restore(marker: Path, broken: str | None) -> None:
    restore_marker.advance()
    marker.unlink() if broken is None else marker.write_text(broken)
    assert not noticed()
    restore_marker.advance()
    assert causes() == ["marker_lost"]
    assert json.loads(marker.read_text())["count"] == 2


def test_a_crash_between_the_two_writes_and_a_changed_clock_are_no_restore(
    marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restore_marker.advance()
    with mock.patch.object(restore_marker, "_write", side_effect=SystemExit), pytest.raises(SystemExit):
        restore_marker.advance()
    assert not noticed()
    long_ago = clock.now().replace(year=2001)
    monkeypatch.setattr(clock, "now", lambda: long_ago)
    restore_marker.advance()
    assert (noticed(), causes()) == (False, [])


def test_mutant_a_file_written_before_the_commit_would_be_taken_for_a_restore(marker: Path) -> None:
    """Why the database comes first: the other order turns a crash into a restore."""
    restore_marker.advance()
    ahead = json.loads(marker.read_text())
    marker.write_text(json.dumps(ahead | {"count": ahead["count"] + 1}))  # and the crash
    assert noticed()


def test_a_file_that_cannot_be_written_is_told_and_stops_nothing(marker: Path, settings: Any) -> None:
    settings.RESTORE_MARKER_FILE = str(marker / "no" / "folder")
    restore_marker.advance()
    assert causes() == ["marker_unwritable"]
    settings.RESTORE_MARKER_FILE = str(marker)
    RestoreMarker.objects.update(count=0)
    restore_marker.advance()
    assert causes() == []


def test_a_sweep_costs_one_query_more_and_none_without_a_file(marker: Path, settings: Any) -> None:
    restore_marker.advance()
    with CaptureQueriesContext(connection) as captured:
        restore_marker.check()
    assert len(captured) == 1
    settings.RESTORE_MARKER_FILE = ""
    with CaptureQueriesContext(connection) as captured:
        restore_marker.check()
        restore_marker.advance()
        assert not restores.is_closed()
    assert len(captured) == 0


def test_the_doctor_warns_where_nobody_would_notice(marker: Path) -> None:
    def severity() -> str:
        return next(one.severity for one in check_frontdesk() if one.id == "site.restores")

    assert severity() == "warning"
    restore_marker.advance()
    assert severity() == "passed"


def test_access_waits_until_staff_finish_it_and_no_other_success_ends_it(world: World, marker: Path) -> None:
    dana = world.subscriber()
    restore_marker.advance()
    older_by(1)
    assert noticed()
    world.shop.v1.subscriptions.cancel(str(world.stripe_state(dana)["id"]))
    world.deliver()  # stored, mirrored, and no more
    assert dana.__class__.objects.get(pk=dana.pk).subscription_status == "canceled"
    assert world.account(dana)["enabled"]
    waiting = Job.objects.get(kind=reconcile.KIND, state="queued", parked_on=dependencies.RESTORED)
    assert restores.PAUSED in waiting.last_error
    assert waiting.attempts == 0
    dependencies.mark_up([dependencies.RESTORED, "keycloak"])
    assert dependencies.is_paused(dependencies.RESTORED)
    RestoreCheck.objects.update(step="ready")
    restores.finish(actor="staff:ada", reason="checked")
    world.work()
    assert not world.account(dana)["enabled"]


def test_mutant_without_the_pause_a_job_takes_access(world: World, marker: Path) -> None:
    dana = world.subscriber()
    with mock.patch.dict(
        jobs.KINDS, {reconcile.KIND: jobs.Kind(reconcile.KIND, "Sync", reconcile.reconcile, ("keycloak",), 0)}
    ):
        restores.begin("drill")
        world.shop.v1.subscriptions.cancel(str(world.stripe_state(dana)["id"]))
        world.deliver()
    assert not world.account(dana)["enabled"]


@pytest.mark.parametrize("path", ["/onboarding/", "/onboarding/checkout/", "/recovery/", "/onboarding/success/"])
def test_the_public_pages_are_closed_kindly_while_it_lasts(marker: Path, path: str) -> None:
    restores.begin("drill")
    restores._paused.forget()
    for method in ("get", "post"):
        answer = getattr(Client(), method)(path)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "600")
        assert "checking our records after maintenance" in answer.content.decode()
    spoken = Client().get(path, headers={"Accept": "application/json"})
    assert (spoken.status_code, spoken.json()["error"]["code"]) == (503, "checking")
    polled = Client().get("/onboarding/success/state/")  # a script, whatever it accepts
    assert polled.json()["error"]["code"] == "checking"
    Dependency.objects.all().delete()
    restores._paused.forget()
    assert Client().get(path).status_code != 503


def test_stripe_is_heard_while_the_pages_are_closed(world: World, marker: Path) -> None:
    world.pay(world.signup())
    restores.begin("drill")
    restores._paused.forget()
    events = world.new_events()
    assert set(world.post_events(events)) == {200}


def test_subscribers_read_that_we_are_checking(world: World, marker: Path) -> None:
    dana, client = world.subscriber(), Client()
    client.force_login(dana.user)
    stranger, unknown = Client(), User.objects.create(username="unknown")  # as somebody of the lost time
    stranger.force_login(unknown)
    words = "checking our records"
    assert words not in client.get("/dashboard/").content.decode()
    assert "There is no account here" in stranger.get("/dashboard/").content.decode()
    restores.begin("drill")
    restores._paused.forget()
    assert words in client.get("/dashboard/").content.decode()
    page = stranger.get("/dashboard/").content.decode()
    assert words in page
    assert "Sign up" not in page
