"""Faults F36 to F45 between our jobs and a Keycloak, and what disabling somebody takes: on both servers."""

import datetime as dt
import time
from typing import Any

import pytest

from apps.access import overrides
from apps.accounts.models import UserProfile
from apps.core import clock, jobs
from apps.core.models import Dependency, Job
from apps.identity import keycloak as client
from apps.operations import drift
from apps.operations.models import Drift
from tests.access.people import sync_now
from tests.contract.proxy import Proxy
from tests.contract.servers import Server
from tests.sandbox.keycloak_fixture import Browser
from tests.world import World

ALIKE = {"kind": "sync_user_post_checkout"}


def name(server: Server) -> str:
    return server.name().replace("ct-", "ct")


def go_on(world: World) -> None:
    """The wait is over: whatever was parked or put off is due."""
    long_ago = clock.now() - dt.timedelta(hours=1)
    Dependency.objects.update(probe_at=long_ago)
    Job.objects.filter(state="queued").exclude(last_error="").update(not_before=long_ago)
    world.work()


def unpaid(world: World, server: Server) -> UserProfile:
    """Somebody who has paid, and whose account is still to be made."""
    profile = world.pay(world.signup(name(server)))
    for event in world.new_events():
        world.post_events([event])
    return profile


@pytest.mark.fault("F37")
def test_f37_a_page_waits_no_longer_than_its_patience(world: World, proxy: Proxy) -> None:
    proxy.make("slow")
    began = time.monotonic()
    with pytest.raises(client.DependencyDown):
        client.client(patience=1.0).ping()
    # A second is waited twice; without patience it would have answered after five.
    assert time.monotonic() - began < 4.5


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/users"), ("PUT", "/users/"), ("PUT", "/groups/"), ("PUT", "execute-actions-email")],
    ids=["create", "change", "group", "mail"],
)
@pytest.mark.fault("F38")
def test_f38_a_lost_answer_is_made_good(world: World, server: Server, proxy: Proxy, method: str, path: str) -> None:
    proxy.make("lost", method=method, path=path, times=1)
    dana = unpaid(world, server)
    world.work()
    assert proxy.touched >= 1
    go_on(world)
    go_on(world)
    assert world.state(dana).access == "active"
    assert world.state(dana).groups == ("/frontdesk/nextcloud-1",)
    assert [user["id"] for user in world.users(dana.user.username)] == [dana.keycloak_id]
    assert world.jobs() == []


@pytest.mark.fault("F41")
def test_f41_after_a_logout_of_the_whole_realm_the_next_job_goes_on_without_a_lost_attempt(
    world: World, server: Server
) -> None:
    client.client().ping()  # our client holds a token now
    time.sleep(1.1)
    assert server.call("POST", "/logout-all", headers=server.root()).status_code == 200
    server.forget_bearers()
    dana = unpaid(world, server)
    world.work()
    assert world.state(dana).access == "active"
    job = Job.objects.get(**ALIKE)
    assert (job.state, job.attempts, job.runs) == ("done", 1, 1)


@pytest.mark.fault("F41")
def test_f41_a_right_that_is_missing_parks_the_job_and_burns_no_attempt(
    world: World, server: Server, proxy: Proxy
) -> None:
    proxy.make("403", method="POST", path="/users")
    dana = unpaid(world, server)
    world.work()
    job = Job.objects.get(**ALIKE)
    assert (job.state, job.attempts, job.parked_on) == ("queued", 0, "keycloak")
    proxy.mend()
    go_on(world)
    assert world.state(dana).access == "active"


@pytest.mark.only_on("keycloak", "the stand-in's rights are those of its realm file")
@pytest.mark.fault("F41")
def test_f41_a_role_taken_from_our_service_account(world: World, server: Server) -> None:
    root = server.root()
    (management,) = server.call("GET", "/clients?clientId=realm-management", headers=root).json()
    (account,) = server.call("GET", "/users?username=service-account-frontdesk-sync", headers=root).json()
    path = f"/users/{account['id']}/role-mappings/clients/{management['id']}"
    roles = [role for role in server.call("GET", path, headers=root).json() if role["name"] == "view-users"]
    assert server.call("DELETE", path, json=roles, headers=root).status_code == 204
    try:
        client._client.cache_clear()
        dana = unpaid(world, server)
        world.work()
        job = Job.objects.get(**ALIKE)
        assert (job.state, job.attempts, job.parked_on) == ("queued", 0, "keycloak")
    finally:
        server.call("POST", path, json=roles, headers=root)
    server.forget_bearers()
    client._client.cache_clear()
    go_on(world)
    assert world.state(dana).access == "active"


@pytest.mark.only_on("keycloak", "the stand-in makes no clients")
@pytest.mark.fault("F42")
def test_f42_a_client_that_may_only_ask_sees_an_empty_realm(world: World, server: Server, settings: Any) -> None:
    """The right to search without the right to view: 200 and nobody in it. The canary is what tells."""
    root, asker = server.root(), server.name()
    given = {
        "clientId": asker,
        "secret": "dev-only-asker-secret",
        "serviceAccountsEnabled": True,
        "standardFlowEnabled": False,
    }
    made = server.call("POST", "/clients", json=given, headers=root).headers["Location"].rsplit("/", 1)[-1]
    (management,) = server.call("GET", "/clients?clientId=realm-management", headers=root).json()
    account = server.call("GET", f"/clients/{made}/service-account-user", headers=root).json()
    role = server.call("GET", f"/clients/{management['id']}/roles/query-users", headers=root).json()
    path = f"/users/{account['id']}/role-mappings/clients/{management['id']}"
    assert server.call("POST", path, json=[role], headers=root).status_code == 204
    settings.KEYCLOAK_ADMIN_CLIENT_ID, settings.KEYCLOAK_ADMIN_CLIENT_SECRET = asker, given["secret"]
    settings.KEYCLOAK_CANARY_USERNAME = "stranger.stan"
    client._client.cache_clear()
    assert client.client().username_taken("support.sam") is None
    assert client.client().email_taken("admin.ada@example.com") is None
    server.call("DELETE", f"/clients/{made}", headers=root)


@pytest.mark.fault("F42")
def test_f42_an_empty_answer_to_every_search_is_not_believed(
    world: World, server: Server, proxy: Proxy, settings: Any
) -> None:
    settings.KEYCLOAK_CANARY_USERNAME = "stranger.stan"
    proxy.make("empty", method="GET", path="/users")
    assert client.client().username_taken("support.sam") is None
    proxy.mend()
    assert client.client().username_taken("support.sam") is True


@pytest.mark.fault("F43")
def test_f43_what_was_changed_by_hand_is_put_right(world: World, server: Server) -> None:
    dana = world.subscriber(name(server))
    before = world.state(dana)
    stored = server.user(dana.keycloak_id)
    wrong = stored["attributes"] | {"storage_gb": ["9000"], "has_vaultwarden": ["true"], "keycloak_value": ["kept"]}
    body = stored | {"attributes": wrong, "enabled": False}
    assert server.call("PUT", f"/users/{dana.keycloak_id}", json=body).status_code == 204
    group = server.group_id("/frontdesk/nextcloud-1")
    server.call("DELETE", f"/users/{dana.keycloak_id}/groups/{group}")
    sync_now(world, dana)
    assert world.state(dana) == before
    assert server.user(dana.keycloak_id)["attributes"]["keycloak_value"] == ["kept"]


@pytest.mark.fault("F43")
def test_f43_somebody_deleted_by_hand_is_told_and_not_made_anew(world: World, server: Server) -> None:
    dana = world.subscriber(name(server))
    server.call("DELETE", f"/users/{dana.keycloak_id}")
    sync_now(world, dana)
    (sentence,) = world.jobs("blocked")
    assert "Restore it there, or fix the drift here." in sentence
    assert world.users(dana.user.username) == []


@pytest.mark.parametrize("verified", [True, False])
@pytest.mark.fault("F43")
def test_f43_another_address_by_hand_is_found_and_taken_over_only_when_verified(
    world: World, server: Server, *, verified: bool
) -> None:
    dana = world.subscriber(name(server))
    ours, theirs = dana.email, f"{name(server)}@example.com"
    body = server.user(dana.keycloak_id) | {"email": theirs, "emailVerified": verified}
    assert server.call("PUT", f"/users/{dana.keycloak_id}", json=body).status_code == 204
    (found,) = drift.compare_subscriber(dana)
    assert found.kind == Drift.Kind.EMAIL
    assert found.keycloak_value == (theirs if verified else "")
    assert server.user(dana.keycloak_id)["email"] == theirs  # looking changes nothing
    dana.refresh_from_db()
    assert dana.email == ours


def logged_in(server: Server, dana: UserProfile) -> Browser:
    """Somebody inside, at Frontdesk and at a product."""
    server.set_password(dana.keycloak_id)
    browser = Browser()
    server.log_in(browser, dana.user.username)
    server.log_in(browser, dana.user.username, **server.nextcloud)
    assert len(server.sessions(dana.keycloak_id)) == 1
    return browser


@pytest.mark.fault("F44")
def test_disabling_ends_access_at_once(world: World, server: Server, record_property: Any) -> None:
    """Decision, write, logout and proof: the time to no session at all is told at the end of the run."""
    dana = world.subscriber(name(server))
    browser = logged_in(server, dana)
    overrides.hold(profile=dana, actor="staff:ada", reason="chargeback")
    began = time.monotonic()
    world.work()
    assert server.sessions(dana.keycloak_id) == []
    took = time.monotonic() - began
    record_property("milliseconds to no session", round(took * 1000))
    assert took < 10
    assert server.user(dana.keycloak_id)["enabled"] is False
    calls = server.told.of(dana.keycloak_id, count=2)
    assert {told for told, _, _ in calls} == {"web", "nextcloud"}
    assert server.start_login(browser)[1].status_code == 200  # the form again, not a way in


@pytest.mark.fault("F44")
def test_f44_a_logout_that_fails_is_repeated_until_no_session_is_left(
    world: World, server: Server, proxy: Proxy
) -> None:
    dana = world.subscriber(name(server))
    logged_in(server, dana)
    proxy.make("500", method="POST", path="/logout", times=1)
    overrides.hold(profile=dana, actor="staff:ada", reason="chargeback")
    world.work()
    assert proxy.touched == 1
    assert server.user(dana.keycloak_id)["enabled"] is False
    go_on(world)
    assert server.sessions(dana.keycloak_id) == []
    assert world.jobs() == []


@pytest.mark.fault("F45")
def test_f45_a_mail_that_fails_is_sent_later_and_once(world: World, server: Server) -> None:
    server.fault("mail_fails")
    dana = unpaid(world, server)
    world.work()
    server.fault("ok")
    assert world.state(dana).access == "active"
    assert server.inbox(dana.email) == [] or "Update Your Account" not in world.mails(dana)
    assert "keycloak_set_password" not in world.notifications(dana)
    go_on(world)
    assert world.mails(dana).count("Update Your Account") == 1
    assert world.notifications(dana).count("keycloak_set_password") == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.fault("F39")
def test_parallel_writers_to_one_person_never_mix_their_values(
    identity: Any, server: Server, at_once: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight writers, each with another value for the same two attributes, as jobs of one person's lane."""
    from django.db import connection

    user_id, _ = server.make(groups=["/frontdesk"])

    def write(key: str) -> None:
        value = key.split("|")[1]
        given = {"has_nextcloud": value, "undeclared": value, "storage_gb": value}
        client.client().update_user(user_id, attributes=given)

    monkeypatch.setitem(jobs.KINDS, "contract_write", jobs.Kind("contract_write", "", write, (), 0))
    for number in range(8):
        jobs.defer("contract_write", f"{user_id}|{number}", lane=f"profile:{user_id}")

    def worker() -> None:
        try:
            deadline = time.monotonic() + 30
            while Job.objects.exclude(state="done").exists() and time.monotonic() < deadline:
                jobs.drain()
                time.sleep(0.01)
        finally:
            connection.close()

    at_once([worker] * 8)
    assert set(Job.objects.values_list("state", "attempts")) == {("done", 1)}
    stored = server.user(user_id)["attributes"]
    assert len({tuple(values) for values in stored.values()}) == 1
    assert all(len(values) == 1 for values in stored.values())
