"""Syncing many as staff see it: who is selected, what the pages of a run and of a sync say, and what they cost."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.access.models import LastSync
from apps.accounts.models import UserProfile
from apps.console import dashboard
from apps.console.admin import sync_runs as dialogs
from apps.core import clock
from apps.core.models import AuditEntry, Job
from apps.operations import drift, sync_runs
from apps.operations.models import SyncResult, SyncRun
from tests.console.conftest import World
from tests.console.desk import REASON, dialog, done, page_of, send
from tests.operations.test_safeguard import late
from tests.world import World as Town

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]
SELECTED = "admin:accounts_userprofile_sync_selected"


def run_of(people: list[UserProfile], **fields: Any) -> SyncRun:
    """A run over them that has been asked for."""
    run = sync_runs.start_sync_run(
        [one.pk for one in people], scope=SyncRun.Scope.SELECTED, actor="staff:bob", reason=REASON
    )
    run.results.update(**{"generation": 0} | fields)
    Job.objects.filter(kind="sync_run").update(state="done")
    return run


def page(client: Client, run: SyncRun, query: str = "") -> str:
    return client.get(reverse("admin:operations_syncrun_change", args=[run.pk]) + query).content.decode()


def fragment(client: Client, run: SyncRun, query: str = "") -> Any:
    return client.get(reverse("admin:operations_syncrun_progress", args=[run.pk]) + query)


def stopped(profile: UserProfile, **fields: Any) -> Job:
    now = clock.now()
    known = {"state": "dead", "attempts": 4, "last_error": "Keycloak could not show it.", "not_before": now}
    return Job.objects.create(
        kind="reconcile", key=str(profile.pk), lane=f"profile:{profile.pk}", created_at=now, **known | fields
    )


# --- choosing --------------------------------------------------------------------------------------------------------


def test_boxes_to_select_by_are_for_whoever_may_sync(world: World, staff: Staff) -> None:
    address = reverse("admin:accounts_userprofile_changelist")
    for query in ("", "?access_state__exact=canceled"):
        assert 'name="people"' not in staff("viewer").get(address + query).content.decode()
    text = staff("support").get(address).content.decode()
    assert text.count('type="checkbox" name="people"') == 3
    assert 'aria-label="Select person-1"' in text
    assert 'hx-include="#changelist-form [name=people]"' in text


def test_the_dialog_shows_everybodys_plan_row_by_row_and_asks_nobody_for_it(world: World, staff: Staff) -> None:
    people = world.profiles[:2]
    query = "&".join(f"people={one.pk}" for one in people)
    text = staff("support").get(f"{reverse(SELECTED)}?{query}").content.decode()
    for one in people:
        assert f'hx-get="{reverse("admin:accounts_userprofile_plan", args=[one.pk])}"' in text
    assert "person-2" not in text
    assert "Nobody is selected" in staff("support").get(reverse(SELECTED)).content.decode()


def test_the_cost_of_the_dialog_does_not_grow_with_those_selected(staff: Staff, settings: Any) -> None:
    settings.TWO_PEOPLE_ABOVE = 1  # from two on it is asked, once, whether there is a second person
    client, people = staff("support"), late(100)

    def cost(some: list[UserProfile]) -> int:
        with CaptureQueriesContext(connection) as asked:
            assert client.get(reverse(SELECTED), {"people": [one.pk for one in some]}).status_code == 200
        return len(asked)

    cost(people[:3])
    assert cost(people[:3]) == cost(people) <= 24


@pytest.mark.parametrize(
    ("query", "sentence"),
    [("", "Select subscribers in the list first."), ("?" + "people=1&" * 101, "At most 100")],
    ids=["nobody", "too many"],
)
def test_nobody_and_too_many_are_refused_in_the_dialog(query: str, sentence: str, world: World, staff: Staff) -> None:
    answer = staff("support").post(reverse(SELECTED) + query, {"_form_submitted": "on", "reason": REASON})
    assert answer.status_code == 200
    assert sentence in answer.content.decode()
    assert not SyncRun.objects.filter(reason=REASON).exists()


def two_who_differ(town: Town) -> tuple[UserProfile, UserProfile]:
    """Two subscribers whose Keycloak accounts lack what they pay for, found by the look at everybody."""
    dana, erik = town.subscriber("dana"), town.subscriber("erik")
    for one in (dana, erik):
        stored = town.account(one)
        del stored["attributes"]["has_nextcloud"]
        town.admin("PUT", f"/users/{one.keycloak_id}", json=stored)
    Job.objects.filter(kind="compare_keycloak").delete()
    drift.compare_slice("asked")
    return dana, erik


def test_what_differs_is_synced_by_one_run_however_much_it_is(town: Town, staff: Staff) -> None:
    dana, _ = two_who_differ(town)
    address = reverse("admin:operations_drift_sync_differing")
    text = staff("operator").get(address).content.decode()
    assert "2 subscribers will be synced" in text
    assert text.count("Set has_nextcloud to true.") == 2
    answer = staff("operator").post(address, {"_form_submitted": "on", "reason": REASON}, headers={"HX-Request": "1"})
    run = SyncRun.objects.get()
    assert answer["HX-Redirect"] == reverse("admin:operations_syncrun_change", args=[run.pk])
    town.work()
    assert sync_runs.read_progress(run).changed == 2
    assert town.account(dana)["attributes"]["has_nextcloud"] == ["true"]
    assert page(staff("viewer"), run).count("Set has_nextcloud to true.") == 2
    assert (
        "No drift in access."
        in staff("operator").post(address, {"_form_submitted": "on", "reason": REASON}).content.decode()
    )


def test_of_what_differs_the_selected_are_synced_and_nobody_else(town: Town, staff: Staff) -> None:
    dana, erik = two_who_differ(town)
    listed = staff("support").get(reverse("admin:operations_drift_changelist")).content.decode()
    assert f'name="people" value="{dana.pk}" aria-label="Select dana"' in listed
    address = f"{reverse('admin:operations_drift_sync_selected')}?people={dana.pk}"
    staff("support").post(address, {"_form_submitted": "on", "reason": REASON})
    town.work()
    assert town.account(dana)["attributes"]["has_nextcloud"] == ["true"]
    assert "has_nextcloud" not in town.account(erik)["attributes"]


def test_of_very_many_the_dialog_does_not_count_who_would_lose_access(
    world: World, staff: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = reverse("admin:operations_drift_sync_differing")
    assert "is counted when the run begins" not in staff("operator").get(address).content.decode()
    monkeypatch.setattr(dialogs, "COUNTED", 2)
    assert "is counted when the run begins" in staff("operator").get(address).content.decode()


# --- the page of a run -----------------------------------------------------------------------------------------------


def test_a_run_says_how_far_it_is_and_how_it_went_with_each(world: World, staff: Staff) -> None:
    one, two, three = world.profiles
    run = run_of(world.profiles)
    SyncResult.objects.filter(run=run, profile=one).update(outcome="changed", steps=["Join it."], ended_at=clock.now())
    stopped(two)
    stopped(three, state="queued", attempts=2, last_error="It was busy.")
    text = page(staff("support"), run)
    for part in (
        'role="progressbar"', 'aria-valuemax="3"', 'aria-valuenow="2"', "Join it.", "Keycloak could not show it.",
        "It was busy.", "Retrying", "Run the 1 that failed again", 'hx-trigger="every 2s"', REASON, "staff:bob",
    ):  # fmt: skip
        assert part in text, part
    for shown, name in (("failed", "person-1"), ("changed", "person-0"), ("waiting", "person-2"), ("same", "")):
        rows = fragment(staff("support"), run, f"?show={shown}").content.decode()
        assert re.findall(r">(person-\d)</a>", rows) == ([name] if name else [])
        assert ("Nobody." in rows) == (not name)
    assert "that failed again" not in fragment(staff("viewer"), run).content.decode()


def test_a_run_whose_own_job_gave_up_says_so(world: World, staff: Staff) -> None:
    run = run_of(world.profiles, generation=None)
    Job.objects.filter(kind="sync_run").update(state="dead", last_error="Unexpected ZeroDivisionError.")
    assert "The run itself failed before everyone was queued" in page(staff("viewer"), run)


def test_a_run_that_has_ended_is_not_asked_about_any_more(world: World, staff: Staff) -> None:
    run = run_of(world.profiles, outcome="same", ended_at=clock.now())
    assert "every 2s" not in fragment(staff("viewer"), run).content.decode()
    SyncResult.objects.filter(run=run, profile=world.profiles[0]).update(outcome="waiting", ended_at=None)
    assert "every 2s" in fragment(staff("viewer"), run).content.decode()
    stopped(world.profiles[0])
    assert "every 2s" not in fragment(staff("viewer"), run).content.decode()


def test_only_staff_see_how_a_run_goes(world: World, staff: Staff) -> None:
    run = run_of(world.profiles)
    address = reverse("admin:operations_syncrun_progress", args=[run.pk])
    assert Client().get(address).status_code == 302
    assert staff("").get(address).status_code == 403
    client = staff("viewer")
    assert client.get(address).status_code == 200
    client.get(reverse("admin:index"))
    User.objects.get(username="viewer-ada").groups.clear()
    assert client.get(address).status_code == 403
    for odd in ("0", "x", "99999999999999999999999"):
        assert staff("admin").get(address.replace(f"/{run.pk}/", f"/{odd}/")).status_code == 404


@pytest.mark.parametrize("query", ["?p=x", "?p=-1", "?p=99999999999", "?show=nobody", "?show=&p=", "?show=failed&p=2"])
def test_odd_addresses_of_a_run_show_a_page(query: str, world: World, staff: Staff) -> None:
    run = run_of(world.profiles)
    assert fragment(staff("support"), run, query).status_code == 200
    assert "person-0" in page(staff("support"), run, query) or "show=failed" in query


def test_the_page_of_a_run_costs_the_same_for_a_thousand_as_for_ten(staff: Staff) -> None:
    client = staff("viewer")

    def cost(run: SyncRun, address: str) -> int:
        client.get(reverse(address, args=[run.pk]))
        dashboard.forget()
        dashboard.NUMBERS.get()
        with CaptureQueriesContext(connection) as asked:
            assert client.get(reverse(address, args=[run.pk])).status_code == 200
        return len(asked)

    few, many = run_of(late(10)), run_of(late(1000, start=100))
    for address, most in (("admin:operations_syncrun_progress", 13), ("admin:operations_syncrun_change", 20)):
        assert cost(few, address) == cost(many, address) <= most


def test_the_failed_ones_run_again_once(world: World, staff: Staff) -> None:
    run = run_of(world.profiles)
    stopped(world.profiles[0])
    shown = staff("support").get(dialog(run, "run_again")).content.decode()
    assert "1 of this run has failed" in shown
    assert "Keycloak could not show it." in shown
    assert done(send(staff("support"), run, "run_again"))
    assert not done(send(staff("support"), run, "run_again"))
    assert AuditEntry.objects.filter(subject_kind="syncrun", action="sync_run_retried").count() == 1


# --- the subscriber's page -------------------------------------------------------------------------------------------


def look_of(client: Client, profile: UserProfile) -> Any:
    return client.get(reverse("admin:accounts_userprofile_last_sync", args=[profile.pk]))


def test_the_subscribers_page_follows_a_look_to_its_end(town: Town, staff: Staff) -> None:
    dana, client = town.subscriber("dana"), staff("support")
    stored = town.account(dana)
    del stored["attributes"]["has_nextcloud"]
    town.admin("PUT", f"/users/{dana.keycloak_id}", json=stored)
    assert "every 2s" not in page_of(client, dana)
    assert done(send(client, dana, "sync_now"))
    assert "every 2s" in page_of(client, dana)
    waiting = look_of(client, dana)
    assert "This card updates automatically" in waiting.content.decode()
    assert "HX-Trigger" not in waiting
    town.fault("keycloak", "http_500")
    town.work()
    assert "The last attempt failed: Keycloak could not" in look_of(client, dana).content.decode()
    town.fault("keycloak", "ok")
    town.retry()
    ended = look_of(client, dana)
    assert "Set has_nextcloud to true." in ended.content.decode()
    assert "every 2s" not in ended.content.decode()
    assert ended["HX-Trigger"] == "sync-ended"
    assert done(send(client, dana, "sync_now"))
    town.work()
    assert "no changes needed" in look_of(client, dana).content.decode()


def test_a_look_that_gave_up_says_why_and_where_to_try_again(world: World, staff: Staff) -> None:
    profile = world.profiles[0]
    job = stopped(profile)
    LastSync.objects.create(profile=profile, generation=0, steps=["Join it."])
    text = look_of(staff("viewer"), profile).content.decode()
    for part in (
        "Keycloak could not show it.",
        reverse("admin:core_job_change", args=[job.pk]),
        "Done so far",
        "Join it.",
    ):
        assert part in text, part
    assert staff("").get(reverse("admin:accounts_userprofile_last_sync", args=[profile.pk])).status_code == 403
