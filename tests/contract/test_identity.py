"""Every verb of the identity Protocol, by our own client, on both servers."""

from typing import Any

import pytest

from apps.core.errors import DependencyDown, NeedsOperator, RetryLater
from apps.identity import groups
from apps.identity import keycloak as module
from apps.identity.protocol import Identity, KeycloakUser, NewUser
from tests.contract.servers import Server
from tests.sandbox.keycloak_fixture import APP, Browser

UNKNOWN = "00000000-0000-4000-8000-000000000000"
WELCOME = f"{APP}/accounts/welcome/"


def newcomer(name: str, *, onboarding_id: str = "") -> NewUser:
    return NewUser(
        username=name,
        email=f"{name}@example.com",
        first_name="Nora",
        last_name="New",
        onboarding_id=onboarding_id or f"signup-of-{name}",
        attributes={"has_nextcloud": "true"},
    )


def seen(identity: Identity, user_id: str) -> KeycloakUser:
    found = identity.get_user(user_id)
    assert found is not None
    return found


def customer(server: Server, **more: Any) -> tuple[str, str]:
    """A person in the group that our account manages: id and name."""
    return server.make(**{"groups": ["/frontdesk"]} | more)


class TestCreate:
    """create_user, and the adoption of what an unanswered create left."""

    def test_an_enabled_account_with_our_mark_that_must_set_a_password(
        self, identity: Identity, server: Server
    ) -> None:
        name = server.name()
        user_id = identity.create_user(newcomer(name))
        assert seen(identity, user_id) == KeycloakUser(
            id=user_id,
            username=name,
            email=f"{name}@example.com",
            first_name="Nora",
            last_name="New",
            enabled=True,
            email_verified=True,
            attributes={"has_nextcloud": ("true",), "onboarding_id": (f"signup-of-{name}",)},
            groups=frozenset(),
        )
        assert server.user(user_id)["requiredActions"] == ["UPDATE_PASSWORD"]

    def test_our_own_account_is_adopted(self, identity: Identity, server: Server) -> None:
        name = server.name()
        first = identity.create_user(newcomer(name))
        assert identity.create_user(newcomer(name)) == first

    @pytest.mark.fault("F38")
    def test_a_hundred_lost_answers_are_a_hundred_adoptions_and_no_second_account(
        self, identity: Identity, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """F38: the account was made, its answer never came."""
        make = identity.admin.create_user

        def lost(body: dict[str, Any], *rest: Any) -> str:
            make(body, *rest)
            raise module.api_errors.KeycloakConnectionError("the answer was lost")

        prefix = server.name()
        for number in range(100):
            new = newcomer(f"{prefix}-{number}")
            with monkeypatch.context() as patched:
                patched.setattr(identity.admin, "create_user", lost)
                with pytest.raises(DependencyDown):
                    identity.create_user(new)
            adopted = identity.create_user(new)
            assert server.user(adopted)["username"] == new.username
        assert len(server.call("GET", "/users", params={"search": prefix, "max": 200}).json()) == 100

    @pytest.mark.fault("F38")
    def test_twenty_accounts_of_others_are_twenty_times_not_adopted(self, identity: Identity, server: Server) -> None:
        """F38: the name is taken by somebody who is not from this signup, or from none."""
        for number in range(20):
            _, name = customer(server, attributes={"onboarding_id": ["another"]} if number % 2 else {})
            before = server.call("GET", "/users", params={"username": name, "exact": "true"}).json()
            with pytest.raises(NeedsOperator, match=r"the username .* and the email address"):
                identity.create_user(newcomer(name))
            assert server.call("GET", "/users", params={"username": name, "exact": "true"}).json() == before

    @pytest.mark.parametrize("what", ["username", "email"])
    @pytest.mark.fault("F38")
    def test_anothers_account_is_never_adopted(self, identity: Identity, server: Server, what: str) -> None:
        name, other = server.name(), server.name()
        email = {"email": f"{name}@example.com"} if what == "email" else {}
        customer(
            server, username=name if what == "username" else other, attributes={"onboarding_id": ["another"]}, **email
        )
        with pytest.raises(NeedsOperator, match=what):
            identity.create_user(newcomer(name))

    def test_what_a_lost_create_left_without_our_mark_is_adopted(self, identity: Identity, server: Server) -> None:
        """The realm dropped our attributes when the account was made, and keeps them now."""
        name = server.name()
        half = {"emailVerified": True, "requiredActions": ["UPDATE_PASSWORD"], "attributes": {}}
        user_id, _ = customer(server, username=name, **half)
        assert identity.create_user(newcomer(name)) == user_id
        assert server.user(user_id)["attributes"]["onboarding_id"] == [f"signup-of-{name}"]

    @pytest.mark.parametrize(
        "theirs",
        [
            {"emailVerified": False, "requiredActions": ["UPDATE_PASSWORD"]},
            {"emailVerified": True, "requiredActions": []},
            {"emailVerified": True, "requiredActions": ["UPDATE_PASSWORD"], "email": "ct-else@example.com"},
            {
                "emailVerified": True,
                "requiredActions": ["UPDATE_PASSWORD"],
                "credentials": [{"type": "password", "value": "correct horse battery"}],
            },
        ],
        ids=["unverified", "in use", "another address", "a password"],
    )
    def test_what_could_be_somebody_elses_is_not(
        self, identity: Identity, server: Server, theirs: dict[str, Any]
    ) -> None:
        user_id, name = customer(server, **theirs)
        with pytest.raises(NeedsOperator):
            identity.create_user(newcomer(name))
        assert "onboarding_id" not in server.user(user_id).get("attributes", {})
        server.call("DELETE", f"/users/{user_id}")

    def test_a_name_keycloak_does_not_take(self, identity: Identity, server: Server) -> None:
        with pytest.raises(NeedsOperator, match="username-invalid"):
            identity.create_user(newcomer(f"{server.name()}!!"))


class TestRead:
    """get_user, staff_groups."""

    def test_nobody(self, identity: Identity) -> None:
        assert identity.get_user(UNKNOWN) is None

    def test_only_groups_below_ours_are_seen(self, identity: Identity, server: Server) -> None:
        user_id, _ = customer(server, groups=["/frontdesk/nextcloud-1", "/newsletter", "/staff/support"])
        assert seen(identity, user_id).groups == {"/frontdesk/nextcloud-1"}

    def test_the_groups_of_nobody(self, identity: Identity) -> None:
        with pytest.raises(NeedsOperator):
            identity.staff_groups(UNKNOWN)

    def test_staff_groups(self, identity: Identity, server: Server) -> None:
        user_id, _ = customer(server, groups=["/frontdesk/nextcloud-1", "/staff/support", "/staff/admin"])
        assert identity.staff_groups(user_id) == {"/staff/support", "/staff/admin"}


class TestUpdate:
    """update_user."""

    def test_what_is_named_and_nothing_else(self, identity: Identity, server: Server) -> None:
        user_id, name = customer(
            server,
            firstName="Stan",
            lastName="Stranger",
            attributes={"favourite_colour": ["green", "blue"], "has_vaultwarden": ["true"]},
            groups=["/frontdesk", "/newsletter"],
            requiredActions=["CONFIGURE_TOTP"],
        )
        identity.update_user(user_id, enabled=False, attributes={"has_nextcloud": "true", "has_vaultwarden": None})
        user = server.user(user_id)
        assert user["attributes"] == {"favourite_colour": ["green", "blue"], "has_nextcloud": ["true"]}
        assert (user["enabled"], user["email"]) == (False, f"{name}@example.com")
        assert (user["firstName"], user["lastName"]) == ("Stan", "Stranger")
        assert user["requiredActions"] == ["CONFIGURE_TOTP"]
        assert [row["path"] for row in server.call("GET", f"/users/{user_id}/groups").json()] == [
            "/frontdesk",
            "/newsletter",
        ]

    def test_names_and_address(self, identity: Identity, server: Server) -> None:
        user_id, name = customer(server, emailVerified=False)
        identity.update_user(user_id, email=f"New-{name}@Example.com", first_name="Ann", last_name="Other")
        user = seen(identity, user_id)
        assert (user.email, user.email_verified) == (f"new-{name}@example.com", True)
        assert (user.first_name, user.last_name) == ("Ann", "Other")

    def test_a_taken_address(self, identity: Identity, server: Server) -> None:
        user_id, name = customer(server)
        with pytest.raises(NeedsOperator, match="Another Keycloak account"):
            identity.update_user(user_id, email="support.sam@example.com")
        assert seen(identity, user_id).email == f"{name}@example.com"

    def test_an_account_that_is_gone(self, identity: Identity) -> None:
        with pytest.raises(NeedsOperator, match="deleted"):
            identity.update_user(UNKNOWN, enabled=False)

    @pytest.mark.fault("F39")
    def test_attributes_the_profile_does_not_keep_are_told(self, identity: Identity, server: Server) -> None:
        """F39: a 204, and nothing stored."""
        profile, root = server.call("GET", "/users/profile").json(), server.root()
        strict = {name: value for name, value in profile.items() if name != "unmanagedAttributePolicy"}
        user_id, _ = customer(server, attributes={"has_nextcloud": ["true"]})
        server.call("PUT", "/users/profile", json=strict, headers=root)
        try:
            with pytest.raises(RetryLater, match="has_brandnew"):
                identity.update_user(user_id, attributes={"has_brandnew": "true"})
            name = server.name()
            new = NewUser(
                username=name, email=f"{name}@example.com", first_name="N", last_name="N", onboarding_id=f"of-{name}",
                attributes={"undeclared": "x"},
            )  # fmt: skip
            made = identity.create_user(new)  # the account is theirs; what it lacks, the read-back finds
            assert seen(identity, made).attributes == {"onboarding_id": (f"of-{name}",)}
            with pytest.raises(RetryLater, match="undeclared"):
                identity.update_user(made, attributes={"undeclared": "x"})
        finally:
            server.call("PUT", "/users/profile", json=profile, headers=root)
        identity.update_user(user_id, attributes={"has_brandnew": "true"})
        assert seen(identity, user_id).attributes == {"has_nextcloud": ("true",), "has_brandnew": ("true",)}

    @pytest.mark.fault("F39")
    def test_values_that_parallel_writers_doubled_are_put_right(self, identity: Identity, server: Server) -> None:
        user_id, _ = customer(server, attributes={"undeclared": ["1", "2"]})
        identity.update_user(user_id, attributes={"undeclared": "3"})
        assert seen(identity, user_id).attributes == {"undeclared": ("3",)}


class TestGroups:
    """join_group, leave_group."""

    def test_joining_and_leaving_made_when_missing(self, identity: Identity, server: Server) -> None:
        user_id, fresh = customer(server)[0], f"/frontdesk/{server.name()}_1.x"
        for path in ("/frontdesk/nextcloud-1", fresh):
            identity.join_group(user_id, path)
            identity.join_group(user_id, path)
        assert seen(identity, user_id).groups == {"/frontdesk/nextcloud-1", fresh}
        identity.leave_group(user_id, "/frontdesk/nextcloud-1")
        identity.leave_group(user_id, "/frontdesk/nextcloud-1")
        identity.leave_group(user_id, "/frontdesk/never-made")
        assert seen(identity, user_id).groups == {fresh}

    @pytest.mark.parametrize("path", ["/staff/admin", "/newsletter", "/frontdesk", "/frontdesk/../staff/admin"])
    def test_groups_that_are_not_ours(self, identity: Identity, server: Server, path: str) -> None:
        user_id, _ = customer(server)
        with pytest.raises(NeedsOperator, match="not ours"):
            identity.join_group(user_id, path)
        with pytest.raises(NeedsOperator, match="not ours"):
            identity.leave_group(user_id, path)
        assert [row["path"] for row in server.call("GET", f"/users/{user_id}/groups").json()] == ["/frontdesk"]


class TestSessions:
    """session_count, end_sessions."""

    def test_all_sessions_end_offline_ones_too_and_clients_are_told(self, identity: Identity, server: Server) -> None:
        user_id, name = customer(server)
        server.set_password(user_id)
        browser = Browser()
        server.log_in(browser, name)
        server.log_in(browser, name, **server.nextcloud)
        server.log_in(Browser(), name, scope="openid offline_access", **server.nextcloud)
        server.log_in(Browser(), name)
        assert identity.session_count(user_id) >= 2
        identity.end_sessions(user_id)
        assert identity.session_count(user_id) == 0
        assert server.call("GET", f"/users/{user_id}/consents").json() == []
        told = server.told.of(user_id, count=3)
        assert {client for client, _, _ in told} == {"web", "nextcloud"}
        identity.end_sessions(user_id)  # again: nothing to do, no error

    def test_an_account_that_is_gone(self, identity: Identity) -> None:
        for verb in (identity.end_sessions, identity.session_count):
            with pytest.raises(NeedsOperator):
                verb(UNKNOWN)


class TestMail:
    """send_password_email."""

    def test_it_returns_when_the_mail_has_left(self, identity: Identity, server: Server) -> None:
        user_id, name = customer(server, requiredActions=["UPDATE_PASSWORD"])
        identity.send_password_email(user_id, lifespan_seconds=3600, redirect_uri=WELCOME)
        (mail,) = server.inbox(f"{name}@")
        assert "1 hour" in mail["text"]

    def test_a_disabled_account(self, identity: Identity, server: Server) -> None:
        user_id, _ = customer(server, enabled=False)
        with pytest.raises(NeedsOperator, match="disabled"):
            identity.send_password_email(user_id, lifespan_seconds=3600, redirect_uri=WELCOME)

    def test_an_account_without_an_address_or_gone(self, identity: Identity, server: Server) -> None:
        for user_id in (customer(server, email="")[0], UNKNOWN):
            with pytest.raises(NeedsOperator):
                identity.send_password_email(user_id, lifespan_seconds=3600, redirect_uri=WELCOME)

    @pytest.mark.fault("F45")
    def test_a_broken_mail_server_is_worth_another_try(self, identity: Identity, server: Server) -> None:
        """F45: the account stays, nothing is said to be sent."""
        user_id, name = customer(server)
        server.fault("mail_fails")
        try:
            with pytest.raises(RetryLater):
                identity.send_password_email(user_id, lifespan_seconds=3600, redirect_uri=WELCOME)
        finally:
            server.fault("ok")
        identity.send_password_email(user_id, lifespan_seconds=3600, redirect_uri=WELCOME)
        assert len(server.inbox(f"{name}@")) == 1


class TestMany:
    """get_users, list_groups and list_members: what a comparison of everybody reads."""

    def test_accounts_by_their_ids_are_what_each_is_alone(self, identity: Identity, server: Server) -> None:
        ids = [identity.create_user(newcomer(server.name())) for _ in range(3)]
        identity.update_user(ids[0], enabled=False, attributes={"has_nextcloud": None})
        found = identity.get_users([*ids, UNKNOWN])
        assert found == {one: seen(identity, one) for one in ids}

    def test_nobody_is_asked_for(self, identity: Identity) -> None:
        assert identity.get_users([]) == {}

    def test_more_than_fit_into_one_address(self, identity: Identity, server: Server) -> None:
        mine = identity.create_user(newcomer(server.name()))
        strangers = [f"00000000-0000-4000-8000-{number:012}" for number in range(module.IDS)]
        assert set(identity.get_users([*strangers, mine])) == {mine}

    def test_the_members_of_each_of_our_groups(
        self, identity: Identity, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(groups, "PAGE", 2)
        path = f"/frontdesk/many-{server.name().replace('.', '-')}"
        ids = [identity.create_user(newcomer(server.name())) for _ in range(5)]
        for one in ids:
            identity.join_group(one, path)
        listed = identity.list_groups()
        assert {path, "/frontdesk/nextcloud-1"} <= set(listed)
        assert not [one for one in listed if not one.startswith("/frontdesk/")]
        assert identity.list_members(listed[path]) == frozenset(ids)
