"""Frontdesk's own login, logout and sessions against each Keycloak: who gets in, and who is out again, and when."""

import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import User
from django.test import Client

from apps.accounts.models import Signup, UserProfile
from apps.core import sweep
from apps.core.models import AttentionItem
from apps.login import reauthentication, sessions
from apps.login.session_store import row_key
from tests.contract.servers import Server
from tests.login.conftest import LOGIN, Person, fresh_keys, local, log_in_at, subscriber
from tests.sandbox.keycloak_fixture import APP, action
from tests.world import World

__all__ = ["fresh_keys"]  # a fixture
BACKCHANNEL = "/oidc/backchannel-logout/"
CONSOLE = "/admin/"


@pytest.fixture(autouse=True)
def frontdesk(server: Server, world: World, settings: Any) -> None:
    """Our settings for this server; there is nobody here yet."""
    settings.KEYCLOAK_SERVER_URL = server.keycloak
    log_in_at(server, settings)


def account(server: Server, **more: Any) -> tuple[str, str]:
    """Somebody with a password at Keycloak: id and name."""
    user_id, name = server.make(firstName="Nora", lastName="New", **more)
    server.set_password(user_id)
    return user_id, name


@pytest.fixture
def nora(server: Server) -> UserProfile:
    """A subscriber."""
    user_id, name = account(server)
    return subscriber(user_id, name)


@pytest.fixture
def sam(server: Server) -> str:
    """A member of staff, never here before: the name at Keycloak."""
    return account(server, groups=["/staff/support"])[1]


@pytest.fixture
def person(server: Server) -> Person:
    """A browser."""
    return Person(server)


def name(profile: UserProfile) -> str:
    return str(profile.user.username)


def inside(person: Person, path: str = "/dashboard/") -> bool:
    return person.here.get(path).status_code == 200


def pass_time(world: World, seconds: int) -> None:
    """Move the clock, then do what a worker does: whatever is due by now."""
    world.pass_time(seconds=seconds)
    sweep.sweep()
    world.work()


class TestLogin:
    """Through Keycloak's page and back."""

    def test_a_subscriber_by_subject_in_a_session_of_a_new_id(
        self, server: Server, person: Person, nora: UserProfile
    ) -> None:
        back = person.at_keycloak(person.to_keycloak(), name(nora))
        planted = person.here.session.session_key
        answer = person.here.get(local(back))
        assert (answer.status_code, answer["Location"]) == (302, "/dashboard/")
        assert person.user_id == str(nora.user_id)
        assert person.here.session.session_key != planted
        (listed,) = UserSession.objects.filter(user=nora.user)
        assert [listed.data["sid"]] == [row["id"] for row in server.sessions(str(nora.keycloak_id))]

    def test_the_same_address_and_name_without_the_subject_open_nothing(self, server: Server, person: Person) -> None:
        _, stranger = account(server)
        theirs = subscriber("00000000-0000-4000-8000-000000000000", stranger)
        assert person.log_in(stranger)["Location"] == "/onboarding/account/"
        assert person.user_id is None
        assert SocialAccount.objects.get().user == theirs.user

    def test_an_answer_works_once_and_only_in_the_browser_that_asked(self, person: Person, nora: UserProfile) -> None:
        back = local(person.at_keycloak(person.to_keycloak(), name(nora)))
        assert Client().get(back).status_code == 401
        assert person.here.get(back).status_code == 302
        assert person.here.get(back).status_code == 401

    def test_a_code_of_another_login_is_not_the_answer_to_this_one(
        self, server: Server, person: Person, nora: UserProfile
    ) -> None:
        stolen = parse_qs(urlsplit(person.at_keycloak(person.to_keycloak(), name(nora))).query)
        victim = Person(server)
        state = parse_qs(urlsplit(victim.to_keycloak()).query)["state"][0]
        answer = victim.here.get(f"{LOGIN}callback/", {"code": stolen["code"][0], "state": state})
        assert answer.status_code == 401
        assert victim.user_id is None


class TestNewcomers:
    """Who has an account and no plan."""

    def test_the_account_that_is_there_is_linked_once_a_plan_is_paid(
        self, server: Server, person: Person, world: World
    ) -> None:
        user_id, who = account(server, groups=["/frontdesk"])
        assert person.log_in(who)["Location"] == "/onboarding/account/"
        assert person.here.post("/onboarding/account/").status_code == 302
        signup = Signup.objects.get()
        signup.basket, signup.terms_version = {"personal": 1}, "1"
        profile = world.pay(signup)
        world.deliver()
        profile.refresh_from_db()
        found = server.user(user_id)
        assert (profile.keycloak_id, profile.access_state, profile.email) == (user_id, "active", found["email"])
        assert found["attributes"]["onboarding_id"] == [str(profile.onboarding_id)]
        assert (found["enabled"], found["requiredActions"], found["firstName"]) == (True, [], "Nora")
        assert "keycloak_set_password" not in world.notifications(profile)
        assert person.log_in(who)["Location"] == "/dashboard/"
        assert inside(person)

    def test_an_account_out_of_our_reach_is_not_sold_a_plan(self, server: Server, person: Person) -> None:
        user_id, who = account(server)
        person.log_in(who)
        assert person.here.post("/onboarding/account/").status_code == 409
        assert AttentionItem.objects.get().key == f"account {user_id}"
        assert not Signup.objects.exists()


class TestLogout:
    """Out here means out there, and the other way round."""

    def test_it_ends_both_and_comes_back_without_a_question(
        self, server: Server, person: Person, nora: UserProfile
    ) -> None:
        person.log_in(name(nora))
        other = Person(server)
        other.log_in(name(nora))
        kept = UserSession.objects.get(session_key=row_key(other.here.session.session_key or "")).data["sid"]
        assert person.here.post("/logout/")["Location"] == "/"
        assert person.user_id is None
        assert [row["id"] for row in server.sessions(str(nora.keycloak_id))] == [kept]
        other.here.post("/logout/")
        assert server.sessions(str(nora.keycloak_id)) == []
        assert person.there("GET", person.to_keycloak()).status_code == 200  # the form

    def test_a_token_that_keycloak_no_longer_takes_leads_to_its_question(
        self, server: Server, person: Person, nora: UserProfile
    ) -> None:
        person.log_in(name(nora))
        session = person.here.session
        session[sessions.ID_TOKEN] = "x.y.z"
        session.save()
        page = person.there("GET", person.here.post("/logout/")["Location"])
        assert "Do you want to log out?" in page.text
        assert person.user_id is None
        done = server.follow(person.there, person.there("POST", action(page), data=server.hidden(page)))
        assert done.headers["Location"] == f"{APP}/"
        assert server.sessions(str(nora.keycloak_id)) == []

    def test_what_keycloak_tells_ends_the_session_it_names_and_works_once(
        self, server: Server, person: Person, nora: UserProfile
    ) -> None:
        """A real Keycloak's own call over the network is in tests/journeys/test_keycloak_sessions.py."""
        other = Person(server)
        person.log_in(name(nora))
        other.log_in(name(nora))
        assert person.here.post("/logout/")["Location"] == "/"
        (call,) = server.told.of(str(nora.keycloak_id), count=1)
        person.log_in(name(nora))
        assert Client().post(BACKCHANNEL, {"logout_token": call[1]}).status_code == 200
        assert inside(person)  # a newer session than the one that ended
        assert inside(other)
        assert server.call("POST", f"/users/{nora.keycloak_id}/logout").status_code == 204
        for _, token, _ in server.told.of(str(nora.keycloak_id), count=3)[1:]:
            assert Client().post(BACKCHANNEL, {"logout_token": token}).status_code == 200
            assert Client().post(BACKCHANNEL, {"logout_token": token}).status_code == 400
        assert not inside(person)
        assert not inside(other)

    def test_what_keycloak_tells_another_client_is_not_for_us(
        self, server: Server, person: Person, nora: UserProfile
    ) -> None:
        person.log_in(name(nora))
        server.log_in(person.there, name(nora), **server.nextcloud)
        server.call("POST", f"/users/{nora.keycloak_id}/logout")
        told = {client: token for client, token, _ in server.told.of(str(nora.keycloak_id), count=2)}
        assert Client().post(BACKCHANNEL, {"logout_token": told["nextcloud"]}).status_code == 400
        assert inside(person)
        assert Client().post(BACKCHANNEL, {"logout_token": told["web"]}).status_code == 200
        assert not inside(person)


class TestAccount:
    """A login is only as good as its account."""

    def test_who_is_disabled_at_keycloak_is_out_within_a_minute(
        self, world: World, server: Server, person: Person, nora: UserProfile
    ) -> None:
        pass_time(world, 0)
        person.log_in(name(nora))
        pass_time(world, 31)
        assert inside(person)
        server.call("PUT", f"/users/{nora.keycloak_id}", json={"enabled": False})
        pass_time(world, 60)
        assert not inside(person)
        assert not UserSession.objects.exists()


class TestStaff:
    """Roles are groups at Keycloak."""

    def leave(self, server: Server, who: str) -> None:
        (found,) = server.call("GET", "/users", params={"username": who, "exact": "true"}).json()
        path = f"/users/{found['id']}/groups/{server.group_id('/staff/support')}"
        assert server.call("DELETE", path).status_code == 204

    def test_a_member_of_a_staff_group_has_the_console(self, person: Person, sam: str) -> None:
        answer = person.log_in(sam, f"{LOGIN}?next={CONSOLE}")
        assert answer["Location"] == CONSOLE
        assert inside(person, CONSOLE)
        user = User.objects.get(pk=person.user_id)
        assert ([group.name for group in user.groups.all()], user.is_superuser) == (["support"], False)
        assert not user.has_usable_password()

    @pytest.mark.fault("F68")
    def test_who_is_taken_out_of_it_loses_the_console_within_five_minutes(
        self, world: World, server: Server, person: Person, sam: str
    ) -> None:
        pass_time(world, 0)
        person.log_in(sam)
        self.leave(server, sam)
        assert inside(person, CONSOLE)  # nobody has told us
        pass_time(world, 60)
        assert not inside(person, CONSOLE)
        user = User.objects.get(username=sam)
        assert (user.is_staff, user.groups.count()) == (False, 0)

    def test_and_at_the_next_login(self, server: Server, person: Person, sam: str) -> None:
        person.log_in(sam)
        self.leave(server, sam)
        again = Person(server)
        assert again.log_in(sam).status_code == 403
        assert again.user_id is None
        assert not inside(person, CONSOLE)

    def test_a_login_that_grew_stale_is_asked_for_the_password(
        self, server: Server, person: Person, sam: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reauthentication, "ASK_AGAIN_SECONDS", 1)
        person.log_in(sam)
        first = person.here.session[reauthentication.FRESH_UNTIL]
        time.sleep(2.1)
        page = person.there("GET", person.to_keycloak(reauthentication.login_url(CONSOLE)))
        assert page.status_code == 200  # not single sign-on: the form
        back = server.fill_in(person.there, page, sam).headers["Location"]
        assert person.here.get(local(back))["Location"] == CONSOLE
        assert person.here.session[reauthentication.FRESH_UNTIL] >= first + 2

    def test_single_sign_on_is_too_weak_where_a_level_is_asked_for(
        self, server: Server, person: Person, sam: str, settings: Any
    ) -> None:
        settings.STAFF_REQUIRED_ACR = "1"
        server.log_in(person.there, sam, **server.nextcloud)  # single sign-on will answer with acr 0
        weak = person.log_in(sam)
        address = person.to_keycloak(str(weak["Location"]))
        page = person.there("GET", address)
        assert page.status_code == 200
        person.here.get(local(server.fill_in(person.there, page, sam).headers["Location"]))
        assert inside(person, CONSOLE)

    def test_who_has_no_second_factor_is_told_where_one_is_asked_for(
        self, server: Server, person: Person, sam: str, settings: Any
    ) -> None:
        settings.STAFF_REQUIRED_ACR = "2"
        weak = person.log_in(sam)
        told = person.here.get(local(person.at_keycloak(person.to_keycloak(str(weak["Location"])), sam)))
        assert (told.status_code, b"second factor" in told.content) == (403, True)
        assert person.user_id is None
