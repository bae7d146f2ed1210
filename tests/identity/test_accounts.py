"""Creating, adopting and changing accounts: what a lost answer, a dropped attribute or a stranger does to them."""

import pytest

from apps.core.errors import DependencyDown, NeedsOperator, RetryLater
from apps.identity.protocol import Identity, NewUser
from tests.identity.conftest import newcomer
from tests.sandbox.keycloak_fixture import Standin


def test_a_new_account_is_enabled_verified_and_must_set_a_password(
    keycloak: Identity, standin: Standin, nora: NewUser
) -> None:
    made = keycloak.get_user(keycloak.create_user(nora))
    assert made is not None
    assert (made.username, made.email, made.first_name) == ("nora", "nora@example.com", "Nora")
    assert made.enabled
    assert made.email_verified
    assert made.attributes == {"has_nextcloud": ("true",), "onboarding_id": ("signup-of-nora",)}
    assert made.groups == frozenset()
    assert standin.user(made.id)["requiredActions"] == ["UPDATE_PASSWORD"]


@pytest.mark.parametrize("fault", ["lost_answer", "500_after_commit"])
def test_twenty_of_twenty_accounts_are_adopted_after_a_lost_answer(
    keycloak: Identity, standin: Standin, fault: str
) -> None:
    for number in range(20):
        new = newcomer(f"lost{number}")
        standin.fault(fault, method="POST", path="/users", times=1)
        with pytest.raises((DependencyDown, RetryLater)):
            keycloak.create_user(new)
        first = keycloak.create_user(new)
        assert keycloak.create_user(new) == first
        found = standin.call("GET", f"/users?username={new.username}").json()
        assert [user["id"] for user in found] == [first]


def test_twenty_of_twenty_strangers_are_never_adopted(keycloak: Identity, standin: Standin) -> None:
    for number in range(20):
        theirs = {"attributes": {"onboarding_id": ["another"]}} if number % 2 else {}
        stranger = standin.new_user(f"taken{number}", **theirs)
        before = standin.user(stranger)
        with pytest.raises(NeedsOperator, match=r"the username .* and the email address"):
            keycloak.create_user(newcomer(f"taken{number}"))
        assert standin.user(stranger) == before


def test_a_conflict_names_what_is_taken_by_id_and_not_by_address(keycloak: Identity, standin: Standin) -> None:
    stranger = standin.new_user("stella", email="nora@example.com")
    with pytest.raises(NeedsOperator) as refused:
        keycloak.create_user(newcomer("nora"))
    assert f"the email address (by account {stranger})" in refused.value.reason
    assert "username" not in refused.value.reason
    assert "@" not in refused.value.reason


def test_an_account_whose_mark_was_dropped_gets_it_by_the_read_back(
    keycloak: Identity, standin: Standin, nora: NewUser
) -> None:
    standin.fault("drop_attributes", times=1)
    made = keycloak.get_user(keycloak.create_user(nora))
    assert made is not None
    assert made.attributes["onboarding_id"] == ("signup-of-nora",)


@pytest.mark.parametrize("fault", ["drop_attributes", "lost_update"])
def test_a_change_that_does_not_stick_is_found_and_named(
    keycloak: Identity, standin: Standin, nora: NewUser, fault: str
) -> None:
    user = keycloak.create_user(nora)
    standin.fault(fault)
    with pytest.raises(RetryLater, match="vaultwarden_instance"):
        keycloak.update_user(user, attributes={"vaultwarden_instance": "v-1"})
    standin.fault("ok")
    keycloak.update_user(user, attributes={"vaultwarden_instance": "v-1"})
    after = keycloak.get_user(user)
    assert after is not None
    assert after.attributes["vaultwarden_instance"] == ("v-1",)


def test_a_doubled_value_is_found_and_fixed_by_the_next_try(
    keycloak: Identity, standin: Standin, nora: NewUser
) -> None:
    user = keycloak.create_user(nora)
    standin.fault("doubled_values", times=1)
    with pytest.raises(RetryLater, match="has_nextcloud"):
        keycloak.update_user(user, attributes={"has_nextcloud": "maybe"})
    keycloak.update_user(user, attributes={"has_nextcloud": "maybe"})
    after = keycloak.get_user(user)
    assert after is not None
    assert after.attributes["has_nextcloud"] == ("maybe",)


def test_what_a_put_wipes_is_put_back_in_the_same_call(keycloak: Identity, standin: Standin, nora: NewUser) -> None:
    user = keycloak.create_user(nora)
    keycloak.update_user(user, attributes={"favourite_colour": "green"})
    standin.fault("put_wipes", times=1)
    keycloak.update_user(user, attributes={"storage_gb": "50"})
    after = keycloak.get_user(user)
    assert after is not None
    assert after.attributes == {
        "favourite_colour": ("green",),
        "has_nextcloud": ("true",),
        "onboarding_id": ("signup-of-nora",),
        "storage_gb": ("50",),
    }


def test_attributes_groups_and_actions_of_others_are_kept(keycloak: Identity, standin: Standin) -> None:
    stan = standin.call("GET", "/users?username=stranger.stan&exact=true").json()[0]["id"]
    ours = standin.call("GET", "/group-by-path/frontdesk").json()["id"]
    standin.call("PUT", f"/users/{stan}/groups/{ours}")
    groups = standin.call("GET", f"/users/{stan}/groups").json()
    keycloak.update_user(stan, enabled=False, attributes={"has_nextcloud": "true", "gone": None})
    keycloak.update_user(stan, enabled=True, first_name="Stanley", attributes={"has_nextcloud": None})
    after = standin.user(stan)
    assert after["attributes"] == {"favourite_colour": ["green"]}
    assert (after["firstName"], after["lastName"]) == ("Stanley", "Stranger")
    assert after["email"] == "stranger.stan@example.com"
    assert standin.call("GET", f"/users/{stan}/groups").json() == groups
    found = keycloak.get_user(stan)
    assert found is not None
    assert found.groups == frozenset()  # /newsletter is not ours


def test_a_change_of_address_to_one_that_is_taken_needs_an_operator(keycloak: Identity, nora: NewUser) -> None:
    user = keycloak.create_user(nora)
    keycloak.update_user(user, email="Nora.New@Example.com")
    with pytest.raises(NeedsOperator):
        keycloak.update_user(user, email="support.sam@example.com")
    after = keycloak.get_user(user)
    assert after is not None
    assert after.email == "nora.new@example.com"


def test_a_deleted_account_is_none_to_read_and_needs_an_operator_to_write(
    keycloak: Identity, standin: Standin, nora: NewUser
) -> None:
    user = keycloak.create_user(nora)
    assert standin.call("DELETE", f"/users/{user}").status_code == 204
    assert keycloak.get_user(user) is None
    for write in (
        lambda: keycloak.update_user(user, enabled=False),
        lambda: keycloak.end_sessions(user),
        lambda: keycloak.join_group(user, "/frontdesk/nextcloud-1"),
        lambda: keycloak.send_password_email(user, lifespan_seconds=60, redirect_uri=""),
    ):
        with pytest.raises(NeedsOperator):
            write()
    assert keycloak.get_user(user) is None


def test_writing_what_is_already_there_writes_nothing(keycloak: Identity, standin: Standin, nora: NewUser) -> None:
    user = keycloak.create_user(nora)
    standin.fault("http_500", method="PUT")
    keycloak.update_user(user, enabled=True, attributes={"has_nextcloud": "true", "absent": None})


def test_it_joins_and_leaves_our_groups_and_creates_missing_ones(keycloak: Identity, nora: NewUser) -> None:
    user = keycloak.create_user(nora)
    for path in ("/frontdesk/nextcloud-1", "/frontdesk/brand-new_1.x"):
        keycloak.join_group(user, path)
        keycloak.join_group(user, path)
    found = keycloak.get_user(user)
    assert found is not None
    assert found.groups == {"/frontdesk/nextcloud-1", "/frontdesk/brand-new_1.x"}
    keycloak.leave_group(user, "/frontdesk/nextcloud-1")
    keycloak.leave_group(user, "/frontdesk/nextcloud-1")
    keycloak.leave_group(user, "/frontdesk/never-made")
    found = keycloak.get_user(user)
    assert found is not None
    assert found.groups == {"/frontdesk/brand-new_1.x"}


@pytest.mark.parametrize(
    "path",
    [
        "/staff/admin",
        "/newsletter",
        "/frontdesk",
        "/frontdesk/",
        "/frontdesk/..",
        "/frontdesk/../staff/admin",
        "/frontdesk/a/b",
        "frontdesk/nextcloud-1",
        "/frontdesk/a?b",
        "/frontdesk/%2e%2e",
        "/frontdesk-two/a",
    ],
)
def test_groups_that_are_not_ours_are_refused(keycloak: Identity, standin: Standin, nora: NewUser, path: str) -> None:
    user = keycloak.create_user(nora)
    with pytest.raises(NeedsOperator, match="not ours"):
        keycloak.join_group(user, path)
    with pytest.raises(NeedsOperator, match="not ours"):
        keycloak.leave_group(user, path)
    assert [row["path"] for row in standin.call("GET", f"/users/{user}/groups").json()] == ["/frontdesk"]
