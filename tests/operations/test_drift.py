"""What Keycloak says against what it should say: found, listed, mended by the rule of its kind, or left until a date."""

import datetime as dt
import uuid
from typing import Any

import pytest
import requests
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import UserProfile
from apps.core import clock, jobs, sweep
from apps.core.errors import BadInput
from apps.core.models import AuditEntry, Job
from apps.operations import drift
from apps.operations.models import Drift
from tests.world import World

BY = {"actor": "staff:sam", "reason": "seen in the list of differences"}


def compare(world: World) -> None:
    jobs.defer(drift.KIND, "asked")
    world.work()


def standing() -> dict[str, str]:
    """Kind to username of what is listed now."""
    rows = Drift.objects.filter(resolved_at__isnull=True).order_by("pk")
    return {row.kind: row.profile.user.username for row in rows.select_related("profile__user")}


def change(world: World, profile: UserProfile, **fields: Any) -> None:
    """Somebody edits the account in Keycloak."""
    stored = world.account(profile)
    assert world.admin("PUT", f"/users/{profile.keycloak_id}", json=stored | fields).status_code == 204


def rename(profile: UserProfile, name: str) -> None:
    """Keycloak's name and ours are no longer the same; which of them was changed does not show."""
    profile.user.username = name
    profile.user.save()


def test_who_is_as_should_be_is_not_listed(world: World) -> None:
    world.subscriber("dana")
    world.subscriber("erik")
    compare(world)
    assert standing() == {}


@pytest.mark.parametrize("what", ["attribute", "foreign value", "group left", "group joined"])
def test_other_access_is_listed_and_mended(world: World, what: str) -> None:
    dana, before = world.subscriber("dana"), None
    before = world.state(dana)
    attributes = world.account(dana)["attributes"]
    group = world.memberships(dana)[0]
    if what == "attribute":
        change(world, dana, attributes={name: value for name, value in attributes.items() if name != "has_nextcloud"})
    elif what == "foreign value":
        change(world, dana, attributes=attributes | {"storage_gb": ["9000"]})
    elif what == "group left":
        world.admin("DELETE", f"/users/{dana.keycloak_id}/groups/{group['id']}")
    else:
        world.instance("nextcloud-9", "nextcloud")
        parent = world.admin("GET", "/group-by-path/frontdesk").json()["id"]
        world.admin("POST", f"/groups/{parent}/children", json={"name": "nextcloud-9"})
        other = world.admin("GET", "/group-by-path/frontdesk/nextcloud-9").json()["id"]
        world.admin("PUT", f"/users/{dana.keycloak_id}/groups/{other}")
    assert world.state(dana) != before
    compare(world)
    assert standing() == {"access": "dana"}
    (row,) = Drift.objects.all()
    assert row.steps
    assert world.state(dana) != before  # a comparison changes nothing
    assert AuditEntry.objects.filter(subject_id=dana.pk, action="drift_found").count() == 1

    drift.fix_drift(row, **BY)
    world.work()
    assert world.state(dana) == before
    assert standing() == {}
    assert AuditEntry.objects.get(subject_id=dana.pk, action="drift_fixed").actor == "staff:sam"


def test_first_seen_stays_and_what_is_gone_goes(world: World) -> None:
    dana = world.subscriber("dana")
    change(world, dana, enabled=False)
    compare(world)
    first = Drift.objects.get()
    assert (first.kind, first.resolved_at) == ("disabled", None)
    world.pass_time(days=1 / 24)
    compare(world)
    again = Drift.objects.get()
    assert again.first_seen_at == first.first_seen_at
    assert again.last_seen_at > first.last_seen_at
    change(world, dana, enabled=True)
    compare(world)
    assert standing() == {}
    change(world, dana, enabled=False)
    compare(world)
    assert Drift.objects.count() == 2


@pytest.mark.fault("F43")
def test_it_is_found_within_a_quarter_of_an_hour(world: World) -> None:
    """F43."""
    dana = world.subscriber("dana")
    sweep.start_periodic()
    world.work()
    change(world, dana, enabled=False)
    world.pass_time(seconds=15 * 60 + 1)
    sweep.start_periodic()
    world.work()
    assert standing() == {"disabled": "dana"}


def test_what_is_ignored_is_left_so_until_its_date(world: World) -> None:
    dana = world.subscriber("dana")
    change(world, dana, enabled=False)
    compare(world)
    drift.ignore_drift(Drift.objects.get(), until=clock.now() + dt.timedelta(days=3), **BY)
    night(world)
    assert world.state(dana).account is False
    world.pass_time(days=3.1)
    night(world)
    assert world.state(dana).account is True
    assert standing() == {}


def night(world: World) -> None:
    jobs.defer("reconcile_all", "periodic")
    world.work()


def test_an_account_deleted_by_hand_is_made_anew_only_when_asked(world: World) -> None:
    dana = world.subscriber("dana")
    before, gone = world.state(dana), dana.keycloak_id
    world.admin("DELETE", f"/users/{gone}")
    compare(world)
    assert standing() == {"deleted": "dana"}
    assert world.users("dana") == []
    drift.fix_drift(Drift.objects.get(), **BY)
    world.work()
    dana.refresh_from_db()
    assert dana.keycloak_id not in {None, gone}
    assert world.state(dana) == before
    assert world.users("dana")[0]["attributes"]["onboarding_id"] == [str(dana.onboarding_id)]
    assert not dana.user.socialaccount_set.filter(uid=gone).exists()  # type: ignore[attr-defined]
    assert standing() == {}


@pytest.mark.fault("F27")
def test_a_name_changed_by_hand_is_taken_over(world: World) -> None:
    dana, erik = world.subscriber("dana"), world.subscriber("erik")
    rename(dana, "dana.old")
    rename(erik, "Dana")
    compare(world)
    assert sorted(Drift.objects.values_list("kind", "keycloak_value")) == [("username", "dana"), ("username", "erik")]
    row = Drift.objects.get(profile=dana)
    with pytest.raises(BadInput, match="Somebody else"):
        drift.fix_drift(row, **BY)
    drift.fix_drift(Drift.objects.get(profile=erik), **BY)
    drift.fix_drift(row, **BY)
    compare(world)
    dana.user.refresh_from_db()
    assert dana.user.username == "dana"
    assert standing() == {}


@pytest.mark.fault("F27")
def test_a_verified_address_is_taken_over_or_ours_is_written_back(world: World) -> None:
    dana = world.subscriber("dana")
    ours = dana.email
    change(world, dana, email="dana@elsewhere.example", emailVerified=True)
    compare(world)
    assert standing() == {"email": "dana"}
    drift.fix_drift(Drift.objects.get(), write_back=True, **BY)
    world.work()
    assert world.account(dana)["email"] == ours
    assert standing() == {}

    change(world, dana, email="dana@elsewhere.example", emailVerified=True)
    compare(world)
    drift.fix_drift(Drift.objects.get(resolved_at=None), **BY)
    compare(world)
    dana.refresh_from_db()
    assert (dana.email, dana.user.email) == ("dana@elsewhere.example",) * 2
    assert standing() == {}


@pytest.mark.fault("F27")
def test_an_address_nobody_verified_is_never_taken_over(world: World) -> None:
    """Whoever reads our mails can get into the account by a recovery code."""
    dana = world.subscriber("dana")
    ours = dana.email
    change(world, dana, email="thief@example.net", emailVerified=False)
    compare(world)
    row = Drift.objects.get()
    with pytest.raises(BadInput, match="no verified email"):
        drift.fix_drift(row, **BY)
    dana.refresh_from_db()
    assert dana.email == ours


def test_an_address_of_somebody_else_here_is_not_taken_over(world: World) -> None:
    dana, erik = world.subscriber("dana"), world.subscriber("erik")
    UserProfile.objects.filter(pk=erik.pk).update(email="shared@example.net")
    change(world, dana, email="shared@example.net", emailVerified=True)
    compare(world)
    with pytest.raises(BadInput, match="Somebody else"):
        drift.fix_drift(Drift.objects.get(kind="email", profile=dana), **BY)


def test_what_is_not_ours_is_no_difference(world: World) -> None:
    dana = world.subscriber("dana")
    change(world, dana, attributes=world.account(dana)["attributes"] | {"locale": ["de"]}, firstName="Dana-Maria")
    world.admin("POST", "/groups", json={"name": "choir"})
    choir = next(one for one in world.admin("GET", "/groups").json() if one["name"] == "choir")
    world.admin("PUT", f"/users/{dana.keycloak_id}/groups/{choir['id']}")
    compare(world)
    assert standing() == {}


def test_who_is_being_looked_at_is_not_compared(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half-made is not drift; also when the look was asked for while Keycloak was being read."""
    dana = world.subscriber("dana")
    change(world, dana, enabled=False)
    original = drift.account_of

    def meanwhile(profile: UserProfile) -> Any:
        found = original(profile)
        UserProfile.objects.filter(pk=profile.pk).update(desired_generation=profile.desired_generation + 1)
        return found

    monkeypatch.setattr(drift, "account_of", meanwhile)
    drift.compare_slice("asked")
    assert standing() == {}


def test_the_walk_goes_on_in_slices_and_only_one_is_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    people = [world.subscriber(f"dana{number}") for number in range(5)]
    for one in people:
        change(world, one, enabled=False)
    monkeypatch.setattr(drift, "PEOPLE", 2)
    with CaptureQueriesContext(connection) as first:
        drift.compare_slice("asked")
    assert Drift.objects.count() == 2
    drift.compare_slice("asked")  # a second walk while one is on
    assert Drift.objects.count() == 2
    assert Job.objects.filter(kind=drift.KIND, state="queued").count() == 1
    world.work()
    assert Drift.objects.filter(kind="disabled", resolved_at=None).count() == 5
    assert len(first) < 2 * 40


def test_while_keycloak_is_away_nothing_is_believed(world: World) -> None:
    world.subscriber("dana")
    world.fault("keycloak", "down")
    compare(world)
    assert standing() == {}
    assert Job.objects.get(kind=drift.KIND, state="queued", key="asked").attempts == 0


# --- many at once ----------------------------------------------------------------------------------------------------


def accounts(world: World, count: int) -> list[UserProfile]:
    """So many more subscribers whose access has ended, with an account each."""
    made = []
    for number in range(count):
        name, now, mark = f"many{number}", clock.now(), uuid.uuid4()
        given: dict[str, Any] = {
            "username": name,
            "email": f"{name}@example.com",
            "emailVerified": True,
            "enabled": False,
        }
        given["attributes"] = {"onboarding_id": [str(mark)]}
        address = world.admin("POST", "/users", json=given).headers["Location"]
        user = User.objects.create(username=name, email=given["email"])
        made.append(
            UserProfile.objects.create(
                user=user,
                email=given["email"],
                keycloak_id=address.rpartition("/")[2],
                synced_at=now,
                created_at=now,
                onboarding_id=mark,
            )
        )
    return made


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that our client asks Keycloak for."""
    asked: list[str] = []
    send = requests.Session.send

    def counted(session: requests.Session, request: Any, **given: Any) -> requests.Response:
        if "/admin/realms/" in request.url:
            asked.append(f"{request.method} {request.path_url}")
        return send(session, request, **given)

    monkeypatch.setattr(requests.Session, "send", counted)
    return asked


@pytest.mark.nightly
def test_a_thousand_cost_a_hundredth_of_two_calls_each(world: World, calls: list[str]) -> None:
    dana = world.subscriber("dana")
    people = accounts(world, 1000)
    calls.clear()
    compare(world)
    assert len(calls) <= 2 * 1001 / 100, calls
    assert standing() == {}

    change(world, people[700], email="other@example.com")
    for one in (dana, people[3]):  # nobody misses the account of who has left
        world.admin("DELETE", f"/users/{one.keycloak_id}")
    calls.clear()
    compare(world)
    assert standing() == {"email": "many700", "deleted": "dana"}
    assert len(calls) <= 2 * 1001 / 100 + 2 * 2


def test_a_stranger_in_a_group_of_no_instance_is_found(world: World) -> None:
    """Also a group that only Keycloak has, and a member whom no seat brought there."""
    dana = world.subscriber("dana")
    parent = world.admin("GET", "/group-by-path/frontdesk").json()["id"]
    world.admin("POST", f"/groups/{parent}/children", json={"name": "made-by-hand"})
    group = world.admin("GET", "/group-by-path/frontdesk/made-by-hand").json()["id"]
    world.admin("PUT", f"/users/{dana.keycloak_id}/groups/{group}")
    compare(world)
    assert standing() == {"access": "dana"}


def test_a_group_that_somebody_deleted_is_missed_by_all_its_members(world: World) -> None:
    world.subscriber("dana"), world.subscriber("erik")
    group = world.admin("GET", "/group-by-path/frontdesk/nextcloud-1").json()["id"]
    world.admin("DELETE", f"/groups/{group}")
    compare(world)
    assert {row.profile.user.username for row in Drift.objects.filter(kind="access")} >= {"dana"}


def test_a_slice_of_groups_that_takes_too_long_goes_on_where_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [world.subscriber(f"dana{number}") for number in range(3)]
    for one in people:
        (group,) = world.memberships(one)
        world.admin("DELETE", f"/users/{one.keycloak_id}/groups/{group['id']}")
    monkeypatch.setattr(drift, "SECONDS", 0.0)
    compare(world)
    assert Drift.objects.filter(kind="access", resolved_at=None).count() == 3
    assert AuditEntry.objects.filter(action="drift_found").count() == 3
    assert not Job.objects.filter(kind=drift.KIND, state="queued").exclude(key="periodic").exists()
