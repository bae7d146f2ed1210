"""Syncs of many: one run, a result for each, the rest done whoever fails, and a second try that finishes them."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.access import reconcile
from apps.access.models import LastSync
from apps.accounts.models import UserProfile
from apps.core import audit, clock
from apps.core.errors import BadInput, NeedsOperator
from apps.core.models import AuditEntry, Job
from apps.operations import safeguard, sync_runs
from apps.operations.models import SafeguardReview, SyncResult, SyncRun
from tests.operations.test_drift import change
from tests.operations.test_safeguard import late
from tests.world import World

ASKED: Any = {"actor": "staff:sam", "reason": "after the night of the long outage"}


def start(people: list[UserProfile]) -> SyncRun:
    return sync_runs.start_sync_run([one.pk for one in people], scope=SyncRun.Scope.SELECTED, **ASKED)


def numbers(run: SyncRun) -> tuple[int, int, int, int, int]:
    """changed, nothing to do, failed, held back, waiting"""
    found = sync_runs.read_progress(run)
    return found.changed, found.same, found.failed, found.awaiting_approval, found.waiting


def outcomes(run: SyncRun) -> dict[str, tuple[str, list[str]]]:
    rows = run.results.select_related("profile__user")
    return {row.profile.user.username: (row.outcome, row.steps) for row in rows}


def crowd(world: World, count: int) -> list[UserProfile]:
    """Subscribers who have not signed up one by one: accounts in Keycloak and rows, alike, one look each made."""
    one = world.subscriber("first")
    users = User.objects.bulk_create([User(username=f"crowd-{n}") for n in range(count)])
    people = []
    for user in users:
        email = f"{user.username}@example.com"
        body = {"username": user.username, "email": email, "enabled": False}
        place = world.admin("POST", "/users", json=body).headers["Location"]
        people.append(
            UserProfile(
                user=user, email=email, keycloak_id=place.rpartition("/")[2], created_at=clock.now(),
                synced_at=one.synced_at, stripe_customer_id=f"cus_{user.username}",
            )
        )  # fmt: skip
    return UserProfile.objects.bulk_create(people)


def test_everybody_is_looked_at_and_each_result_says_what_was_changed(world: World) -> None:
    dana, erik = world.subscriber("dana"), world.subscriber("erik")
    attributes = world.account(dana)["attributes"]
    change(world, dana, attributes={name: value for name, value in attributes.items() if name != "has_nextcloud"})
    run = start([dana, erik])
    assert numbers(run) == (0, 0, 0, 0, 2)
    world.work()
    assert outcomes(run) == {"dana": ("changed", ["Set has_nextcloud to true."]), "erik": ("same", [])}
    assert numbers(run) == (1, 1, 0, 0, 0)
    assert world.account(dana)["attributes"]["has_nextcloud"] == ["true"]
    lines = AuditEntry.objects.filter(action="sync_requested").order_by("subject_id")
    assert [(line.subject_kind, line.actor, line.reason, line.after) for line in lines] == [
        ("profile", "staff:sam", ASKED["reason"], {"run": run.pk}) for _ in range(2)
    ]
    began = AuditEntry.objects.get(action="sync_run_started")
    assert (began.subject_kind, began.after) == ("syncrun", {"scope": "selected", "subscribers": 2})


@pytest.mark.parametrize("many", [100, pytest.param(1000, marks=[pytest.mark.nightly, pytest.mark.timeout(600)])])
@pytest.mark.fault("F67")
def test_the_rest_are_done_whoever_fails_and_a_second_try_finishes_the_rest(
    world: World, many: int, figure: Callable[[str], None]
) -> None:
    """F67."""
    people = crowd(world, many)
    digit = str(people[0].keycloak_id)[0]
    unlucky = {one.user.username for one in people if str(one.keycloak_id).startswith(digit)}
    assert 1 <= len(unlucky) < many // 2
    run = start(people)
    world.fault("keycloak", "http_500", path=f"/users/{digit}")
    world.work()
    for _ in range(3):
        world.retry()
    assert numbers(run) == (0, many - len(unlucky), len(unlucky), 0, 0)
    rows = list(sync_runs.failed_results(run).select_related("profile__user"))
    assert {row.profile.user.username for row in rows} == unlucky
    assert {(look.state, look.attempts) for look in sync_runs.jobs_of(rows).values()} == {("dead", 4)}

    world.fault("keycloak", "http_500", every=33)
    assert sync_runs.retry_failed(run, actor="staff:ann", reason="Keycloak is well again") == len(unlucky)
    with pytest.raises(BadInput, match="Nobody of this run has failed"):
        sync_runs.retry_failed(run, actor="staff:ann", reason="pressed twice")
    world.work()
    world.fault("keycloak", "ok")
    world.retry()
    assert numbers(run) == (0, many, 0, 0, 0)
    assert AuditEntry.objects.filter(action="sync_requested", actor="staff:ann").count() == len(unlucky)
    figure(f"{many} of {many} after the second try; {len(unlucky)} failed in the first")


def test_steps_that_a_failed_try_took_are_kept_for_the_result(world: World) -> None:
    dana = world.subscriber("dana")
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    run = start([dana])
    world.fault("keycloak", "logout_fails")
    world.deliver()
    assert LastSync.objects.get(profile=dana).ended_at is None
    assert numbers(run) == (0, 0, 0, 0, 1)
    world.fault("keycloak", "ok")
    world.retry()
    (outcome, steps) = outcomes(run)["dana"]
    assert outcome == "changed"
    assert steps[0].startswith("Disable the account")
    assert "Leave the group /frontdesk/nextcloud-1." in steps
    assert LastSync.objects.get(profile=dana).ended_at is not None


def test_who_is_being_retried_waits_and_who_gave_up_has_failed(world: World) -> None:
    dana, erik = world.subscriber("dana"), world.subscriber("erik")
    run = start([dana, erik])
    world.fault("keycloak", "http_500", path=f"/users/{dana.keycloak_id}")
    world.work()
    assert numbers(run) == (0, 1, 0, 0, 1)
    (look,) = sync_runs.jobs_of(list(run.results.all())).values()
    assert (look.state, look.attempts) == ("queued", 1)
    for _ in range(3):
        world.retry()
    assert numbers(run) == (0, 1, 1, 0, 0)
    world.fault("keycloak", "ok")
    reconcile.enqueue(dana, reason="an event came")
    assert numbers(run) == (0, 1, 0, 0, 1)
    world.work()
    assert numbers(run) == (0, 2, 0, 0, 0)


def test_while_keycloak_is_down_a_run_waits_and_goes_on_by_itself(world: World) -> None:
    people = [world.subscriber(name) for name in ("dana", "erik")]
    run = start(people)
    world.fault("keycloak", "down")
    world.work()
    assert numbers(run) == (0, 0, 0, 0, 2)
    world.fault("keycloak", "ok")
    world.retry()
    assert numbers(run) == (0, 2, 0, 0, 0)


def test_a_run_that_is_killed_anywhere_asks_nobody_twice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    people = crowd(world, 6)
    monkeypatch.setattr(sync_runs, "SLICE", 2)
    asked = reconcile.enqueue_many
    calls = []

    def dies(ids: Any, *, reason: str) -> None:
        calls.append(ids)
        if len(calls) == 2:
            raise SystemError("the process is gone")
        asked(ids, reason=reason)

    monkeypatch.setattr(reconcile, "enqueue_many", dies)
    run = start(people)
    world.work()
    assert SyncResult.objects.filter(generation=None).count() == 4
    world.retry()
    assert numbers(run)[2:] == (0, 0, 0)
    assert AuditEntry.objects.filter(action="sync_requested").count() == 6


def test_a_run_with_nobody_is_refused(world: World) -> None:
    with pytest.raises(BadInput, match="nobody to sync"):
        start([])


# --- the mass guard --------------------------------------------------------------------------------------------------


def stopped_run(settings: Any) -> SyncRun:
    """Thirty would lose access by new terms, three would not; the run has stopped."""
    settings.PAYMENT_GRACE_DAYS = 0
    run = start(late(30) + late(3, start=100, access_state="suspended", access_until=None))
    Job.objects.filter(kind="sync_run").update(state="running", started_at=clock.now())
    with pytest.raises(NeedsOperator, match="A sync run would take access from 30 of 30"):
        sync_runs.run_sync(str(run.pk))
    Job.objects.filter(kind="sync_run").update(state="blocked", finished_at=clock.now())
    return run


@pytest.mark.django_db
def test_a_run_that_would_shut_out_many_asks_first_and_does_the_others(settings: Any) -> None:
    run = stopped_run(settings)
    assert numbers(run) == (0, 0, 0, 30, 3)
    assert Job.objects.filter(kind="reconcile").count() == 3
    asked = SafeguardReview.objects.get()
    assert (asked.sweep, asked.scope, asked.state) == ("sync_run", str(run.pk), "pending")
    safeguard.approve(asked, expected=30, actor="staff:ada", reason="the board wants no grace any more")
    assert numbers(run) == (0, 0, 0, 0, 33)
    sync_runs.run_sync(str(run.pk))
    assert Job.objects.filter(kind="reconcile").count() == 33
    assert AuditEntry.objects.filter(action="sync_requested").count() == 33


@pytest.mark.django_db
@pytest.mark.mutant
def test_without_the_guard_a_run_would_shut_them_out(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safeguard, "exceeds_limit", lambda *_: False)
    settings.PAYMENT_GRACE_DAYS = 0
    sync_runs.run_sync(str(start(late(30)).pk))
    assert Job.objects.filter(kind="reconcile").count() == 30


# --- what it costs ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_asking_a_thousand_costs_what_asking_ten_does_for_each_slice() -> None:
    def cost(people: list[UserProfile]) -> int:
        run = start(people)
        with CaptureQueriesContext(connection) as asked:
            sync_runs.run_sync(str(run.pk))
        assert run.results.filter(generation=None).count() == 0
        return len([one for one in asked if "django_q" not in one["sql"]])  # wake-ups: at most fifty

    few = cost(late(10, access_state="suspended", access_until=None))
    many = cost(late(1000, start=100, access_state="suspended", access_until=None))
    assert many <= few * 2 + 2
    run = SyncRun.objects.latest("pk")
    with CaptureQueriesContext(connection) as shown:
        sync_runs.read_progress(run)
    assert len(shown) == 2


@pytest.mark.django_db
def test_lines_of_many_are_links_of_each_ones_own_chain() -> None:
    one, other = late(2)
    audit.record(subject=one.subject, action="before")
    first = AuditEntry.objects.get(action="before")
    with CaptureQueriesContext(connection) as asked:
        audit.record_many(kind="profile", ids=[one.pk, other.pk], action="both", actor="staff:sam", reason="why not")
    assert len(asked) == 1
    lines = {line.subject_id: line for line in AuditEntry.objects.filter(action="both")}
    assert lines[str(one.pk)].prev_hash == first.hash
    assert lines[str(other.pk)].prev_hash == ""
    assert all(line.hash == audit.digest(line) for line in lines.values())
    audit.record(subject=other.subject, action="after")
    again = AuditEntry.objects.get(action="after")
    assert again.prev_hash == lines[str(other.pk)].hash
