"""Keycloak away, changed by hand, or not doing what it says."""

import datetime as dt
from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount

from apps.access import apply, overrides
from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.core import clock, jobs, sweep
from apps.core.models import Job
from apps.notifications.email_list import KEYCLOAK_TEMPLATE
from tests.access.people import Killed, sync_now
from tests.sandbox.keycloak_fixture import Browser
from tests.world import World


def test_an_account_deleted_in_keycloak_is_not_made_anew_in_silence(world: World) -> None:
    dana = world.subscriber("dana")
    world.admin("DELETE", f"/users/{dana.keycloak_id}")
    sync_now(world, dana)
    (sentence,) = world.jobs("blocked")
    assert (
        sentence
        == f"reconcile: Keycloak no longer has the user {dana.keycloak_id}. Restore it there, or fix the drift here."
    )
    dana.refresh_from_db()
    assert dana.pending_since is not None
    assert world.users("dana") == []


@pytest.mark.fault("F43")
def test_what_was_changed_by_hand_is_put_right_at_night(world: World) -> None:
    """F43."""
    dana = world.subscriber("dana")
    before = world.state(dana)
    stored = world.account(dana)
    wrong = stored["attributes"] | {"storage_gb": ["9000"], "has_vaultwarden": ["true"]}
    world.admin("PUT", f"/users/{dana.keycloak_id}", json=stored | {"attributes": wrong, "enabled": False})
    (group,) = world.memberships(dana)
    world.admin("DELETE", f"/users/{dana.keycloak_id}/groups/{group['id']}")
    dana.user.groups.clear()
    assert world.state(dana) != before
    for kind in ("compare_keycloak", "reconcile_all"):
        jobs.defer(kind, "periodic")
        world.work()
    assert world.state(dana) == before


def test_an_account_out_of_our_reach_stops_its_own_job_and_nobody_elses(world: World) -> None:
    """An administrator took it out of the group whose members we manage; once it is back, the same job goes on."""
    dana, eve = world.subscriber("dana"), world.subscriber("eve")
    (ours,) = (one["id"] for one in world.admin("GET", "/groups").json() if one["path"] == "/frontdesk")
    world.admin("DELETE", f"/users/{dana.keycloak_id}/groups/{ours}")
    for profile in (dana, eve):
        world.shop.v1.subscriptions.cancel(profile.stripe_subscription_id or "")
        world.deliver()
    (sentence,) = world.jobs("blocked")
    assert f"may not change account {dana.keycloak_id}" in sentence
    assert "add it to /frontdesk" in sentence
    assert (world.state(dana).account, world.state(eve).account) == (True, False)
    world.admin("PUT", f"/users/{dana.keycloak_id}/groups/{ours}")
    sync_now(world, dana)
    assert (world.state(dana).account, world.jobs("blocked")) == (False, [])


def test_a_member_of_staff_who_subscribes_too_is_for_staff_to_change(world: World) -> None:
    dana = world.subscriber("dana")
    staff = world.admin("GET", "/group-by-path/staff/viewer").json()["id"]
    world.admin("PUT", f"/users/{dana.keycloak_id}/groups/{staff}")
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    world.deliver()
    (sentence,) = world.jobs("blocked")
    assert "who are in no staff group" in sentence
    assert world.state(dana).account is True


def test_what_is_not_ours_stays(world: World) -> None:
    dana = world.subscriber("dana")
    stored = world.account(dana)
    theirs = stored["attributes"] | {"locale": ["de"]}
    assert world.admin("PUT", f"/users/{dana.keycloak_id}", json=stored | {"attributes": theirs}).status_code == 204
    world.admin("POST", "/groups", json={"name": "choir"})
    choir = next(one for one in world.admin("GET", "/groups").json() if one["name"] == "choir")
    world.admin("PUT", f"/users/{dana.keycloak_id}/groups/{choir['id']}")
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    world.deliver()
    assert world.state(dana).access == "canceled"
    assert world.account(dana)["attributes"]["locale"] == ["de"]
    assert world.account(dana)["attributes"]["onboarding_id"] == [str(dana.onboarding_id)]
    assert world.groups(dana) == ["/choir"]


@pytest.mark.fault("F39")
def test_a_write_that_does_not_stick_is_tried_again_and_seen(world: World) -> None:
    """F39."""
    dana = world.subscriber("dana")
    world.fault("keycloak", "lost_update")
    overrides.hold(profile=dana, actor="staff:ada", reason="test")
    world.work()
    (job,) = Job.objects.filter(state="queued", attempts=1)
    assert "enabled" in job.last_error
    assert world.state(dana).account is True
    world.fault("keycloak", "ok")
    world.retry()
    assert world.state(dana).account is False


def sessions(world: World, profile: UserProfile) -> int:
    return len(world.admin("GET", f"/users/{profile.keycloak_id}/sessions").json())


@pytest.mark.parametrize("mishap", ["logout_fails", "death"])
@pytest.mark.fault("F44")
def test_sessions_end_even_if_the_first_try_stopped_after_disabling(
    world: World, mishap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F44."""
    dana = world.subscriber("dana")
    world.standin.set_password(dana.keycloak_id or "", "correct horse battery")
    stored = world.account(dana)
    world.admin("PUT", f"/users/{dana.keycloak_id}", json=stored | {"requiredActions": []})
    callback = "http://localhost:8000/accounts/oidc/keycloak/login/callback/"
    world.standin.log_in(Browser(), "dana", redirect_uri=callback)
    assert sessions(world, dana) == 1
    overrides.hold(profile=dana, actor="staff:ada", reason="test")
    if mishap == "death":
        with monkeypatch.context() as patch:
            patch.setitem(apply.STEPS, apply.steps.EndSessions, kill)
            with pytest.raises(Killed):
                world.work()
        world.pass_time(seconds=30)
        sweep.recover()
    else:
        world.fault("keycloak", "logout_fails", times=1)
        world.work()
    assert (world.account(dana)["enabled"], sessions(world, dana)) == (False, 1)
    world.retry()
    assert sessions(world, dana) == 0
    assert world.jobs() == []


def kill(*_: Any) -> None:
    raise Killed


@pytest.mark.parametrize(
    ("mode", "method", "path"),
    [("lost_answer", "POST", "/users"), ("500_after_commit", "POST", "/users"), ("http_500", "GET", "/users/")],
)
def test_an_account_whose_making_failed_half_way_is_closed_when_none_is_due_any_more(
    world: World, mode: str, method: str, path: str
) -> None:
    """The refund comes before the second attempt: nobody knew of the account, which stayed open."""
    world.fault("keycloak", mode, method=method, path=path, times=1)
    dana = world.pay(world.signup("dana"))
    world.deliver()
    assert world.state(dana).account is None
    assert [user["enabled"] for user in world.users("dana")] == [True]
    world.shop.control("refund", charge=world.charge(dana))
    world.deliver()
    world.retry()
    state = world.state(dana)
    assert (state.access, state.account, state.attributes) == ("suspended", False, {})
    assert [user["id"] for user in world.users("dana")] == [dana.keycloak_id]
    assert SocialAccount.objects.get(user=dana.user).uid == dana.keycloak_id
    assert world.notifications(dana).count(KEYCLOAK_TEMPLATE) == 0
    world.assert_laws_hold()

    plan = Product.objects.filter(slug="personal")
    overrides.grant(
        profile=dana, products=list(plan), until=clock.now() + dt.timedelta(days=9), actor="staff:ada", reason="test"
    )
    world.deliver()
    assert world.state(dana).account is True
    assert world.notifications(dana).count(KEYCLOAK_TEMPLATE) == 1  # without it nobody could log in to it
    for _ in range(2):
        overrides.hold(profile=dana, until=clock.now() + dt.timedelta(hours=1), actor="staff:ada", reason="test")
        world.deliver()
        world.pass_time(seconds=4000)
        world.deliver()
    assert world.state(dana).account is True
    assert world.notifications(dana).count(KEYCLOAK_TEMPLATE) == 1
