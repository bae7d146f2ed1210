"""Laws of Keycloak's accounts, broken in Keycloak itself; without a comparison of late they are unknown, never fine."""

import datetime as dt
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from apps.accounts.models import UserProfile
from apps.core import clock, jobs, laws
from apps.core.laws import LawState
from apps.core.models import ComparisonRun, Dependency
from apps.operations import account_checks, drift
from apps.operations.models import Drift
from tests.laws import violated
from tests.sandbox.keycloak_fixture import CALLBACK, Browser
from tests.world import World

LAWS = ("L13", "L20", "L23")
HOUR = dt.timedelta(hours=1)


def compare(world: World) -> None:
    """What the hours do: two of them, so that each thing is found twice; at the end all allowances are over."""
    for _ in range(2):
        for kind in (drift.KIND, account_checks.OWNERS, account_checks.SESSIONS):
            jobs.defer(kind, "periodic")
        world.work()
        world.pass_time(seconds=1200)


@pytest.fixture
def dana(world: World) -> UserProfile:
    made = world.subscriber("dana")
    world.subscriber("otto")
    compare(world)
    assert violated(*LAWS) == {}
    return made


def change(world: World, profile: UserProfile, mark: str | None) -> None:
    """Somebody edits the mark of the account in Keycloak."""
    stored = world.account(profile)
    attributes = {name: values for name, values in stored["attributes"].items() if name != "onboarding_id"}
    wanted = attributes | ({"onboarding_id": [mark]} if mark else {})
    assert world.admin("PUT", f"/users/{profile.keycloak_id}", json=stored | {"attributes": wanted}).status_code == 204


def run(sql: str, *values: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)


@pytest.mark.parametrize("mark", [None, str(uuid.UUID(int=7))], ids=["removed", "changed"])
def test_l13_names_an_account_with_another_mark_and_staff_can_write_it(
    mark: str | None, world: World, dana: UserProfile
) -> None:
    change(world, dana, mark)
    compare(world)
    found = Drift.objects.get(profile=dana, resolved_at=None)
    assert found.kind == "mark"
    assert violated(*LAWS) == {"L13": [str(found.pk)]}
    assert world.account(dana)["attributes"].get("onboarding_id", [None]) == [mark], "a comparison changes nothing"
    drift.fix_drift(found, actor="staff:ada", reason="the account is hers")
    world.work()
    assert world.account(dana)["attributes"]["onboarding_id"] == [str(dana.onboarding_id)]
    compare(world)
    assert violated(*LAWS) == {}


def test_l13_names_an_account_that_is_gone(world: World, dana: UserProfile) -> None:
    world.admin("DELETE", f"/users/{dana.keycloak_id}")
    compare(world)
    assert violated(*LAWS) == {"L13": [str(Drift.objects.get(kind="deleted").pk)]}


def test_l23_names_an_account_with_our_mark_that_is_nobodys(world: World, dana: UserProfile) -> None:
    account = dana.keycloak_id or ""
    run("UPDATE accounts_userprofile SET keycloak_id = NULL, onboarding_id = %s WHERE id = %s", uuid.uuid4(), dana.pk)
    jobs.defer(account_checks.OWNERS, "periodic")
    world.work()
    assert violated("L23") == {}, "one run may see an account that is being made or deleted"
    compare(world)
    assert violated(*LAWS) == {"L23": [account]}
    run(
        "UPDATE accounts_userprofile SET keycloak_id = %s, onboarding_id = %s WHERE id = %s",
        account,
        dana.onboarding_id,
        dana.pk,
    )
    assert violated(*LAWS) == {}


@pytest.mark.parametrize("lists", [True, False], ids=["of everybody", "of a sample"])
def test_l20_names_who_is_logged_in_to_a_closed_account(
    lists: bool, world: World, dana: UserProfile, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.KEYCLOAK_DOCTOR_CLIENT_ID = "frontdesk-doctor" if lists else ""
    settings.KEYCLOAK_DOCTOR_CLIENT_SECRET = "dev-only-doctor-secret"
    monkeypatch.setattr(account_checks, "SAMPLE", 0 if lists else 1)
    world.standin.set_password(dana.keycloak_id or "", "correct horse battery")
    world.admin("PUT", f"/users/{dana.keycloak_id}", json=world.account(dana) | {"requiredActions": []})
    world.standin.log_in(Browser(), "dana", redirect_uri=CALLBACK)
    assert violated(*LAWS) == {}
    run("UPDATE accounts_userprofile SET access_state = 'on_hold'")  # Otto's too, who is not logged in
    run("UPDATE accounts_userprofile SET synced_at = synced_at - interval '1 hour' WHERE id <> %s", dana.pk)
    jobs.defer(account_checks.SESSIONS, "periodic")
    world.work()
    assert violated(*LAWS) == {"L20": [str(dana.pk)]}
    assert laws.run(["L20"])[0].checked.looked_at == (2 if lists else 1)
    world.admin("POST", f"/users/{dana.keycloak_id}/logout")
    jobs.defer(account_checks.SESSIONS, "periodic")
    world.work()
    assert violated(*LAWS) == {}


def never(_world: World) -> None:
    ComparisonRun.objects.all().delete()


def long_ago(_world: World) -> None:
    ComparisonRun.objects.update(ended_at=clock.now() - 4 * HOUR)


def down(_world: World) -> None:
    Dependency.objects.create(name="keycloak", down_since=clock.now(), probe_at=clock.now(), reason="No answer.")


@pytest.mark.parametrize("happens", [never, long_ago, down])
def test_without_a_comparison_of_late_they_are_unknown(
    happens: Callable[[World], None], world: World, dana: UserProfile
) -> None:
    assert dana.keycloak_id
    happens(world)
    found = laws.run(LAWS)
    assert {one.state for one in found} == {LawState.UNKNOWN}
    assert all("Keycloak" in one.reason for one in found)
