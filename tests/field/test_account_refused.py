"""Keycloak refuses somebody who has paid: staff see whom and why, correct the name or the address, and the account is made."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from apps.accounts.models import UserProfile
from apps.core.models import AttentionItem, AuditEntry
from apps.identity import user_profile
from tests.console.desk import dialog, done, page_of, send
from tests.world import World

ANN = {"first_name": "Ann", "last_name": "Lee", "username": "anna", "email": "anna@example.com"}
Staff = Callable[..., Client]


def refused(world: World, **changed: Any) -> UserProfile:
    """Somebody who paid with answers from before the rules, and whom Keycloak refuses."""
    signup = world.signup("anna")
    for name, value in changed.items():
        setattr(signup, name, value)
    signup.save()
    profile = world.pay(signup)
    world.deliver()
    profile.refresh_from_db()
    assert profile.keycloak_id is None
    return profile


def open_item() -> AttentionItem:
    return AttentionItem.objects.get(cause="account_refused", resolved_at=None)


@pytest.mark.parametrize(
    ("changed", "words", "answers"),
    [
        ({"first_name": "Bob & Sally"}, "the first name has characters that the realm does not allow", {}),
        ({"last_name": "SMITH/DUPONT"}, "the last name has characters that the realm does not allow", {}),
        (
            {"email": f"{'a' * 65}@example.com"},
            "the email address is not one that the realm accepts",
            {"email": "anna@müller.de"},
        ),
    ],
    ids=["first name", "last name", "address"],
)
def test_staff_correct_what_keycloak_refuses_and_the_account_is_made(
    world: World, staff: Staff, changed: dict[str, str], words: str, answers: dict[str, str]
) -> None:
    """keycloak/keycloak#37059: the console had Retry, but no field in which staff could change the name."""
    anna = refused(world, **changed)
    assert [job.split(":")[0] for job in world.jobs()] == ["sync_user_post_checkout"]
    item = open_item()
    assert item.profile_ids == [anna.pk]
    assert words in item.sentence
    assert f"Subscriber {anna.pk} has no account yet" in item.sentence
    assert "@" not in item.sentence
    client = staff("support")
    assert words in client.get(dialog(anna, "correct_account")).content.decode()
    assert done(send(client, anna, "correct_account", **ANN | answers))
    world.deliver()
    state, account = world.state(anna), world.account(anna)
    stored = "anna@xn--mller-kva.de" if answers else "anna@example.com"
    assert (state.access, state.account, state.seats) == ("active", True, (("nextcloud", "assigned"),))
    assert (account["firstName"], account["lastName"], account["email"]) == ("Ann", "Lee", stored)
    assert (anna.email, User.objects.get(pk=anna.user_id).email) == (stored, stored)
    assert world.jobs() == []
    item.refresh_from_db()
    assert (item.resolution, item.resolved_at is not None) == ("The account exists.", True)
    entry = AuditEntry.objects.get(action="account_corrected")
    assert (entry.actor, entry.subject_id) == ("staff:support-ada", str(anna.pk))
    assert set(entry.after["fields"]) >= {"first_name", "last_name"}
    assert "Lee" not in f"{entry.before} {entry.after}"
    assert dialog(anna, "correct_account") not in page_of(client, anna)


def test_a_name_of_somebody_else_at_keycloak_is_corrected_too(world: World, staff: Staff) -> None:
    """Keycloak was away when the form asked whether the username is free."""
    world.standin.new_user("anna", email="another@example.com")
    world.fault("keycloak", "down")
    profile = world.pay(world.signup("anna"))
    world.fault("keycloak", "ok")
    world.deliver()
    world.retry()
    assert "the username" in open_item().sentence
    assert done(send(staff("support"), profile, "correct_account", **ANN | {"username": "anna.lee"}))
    world.deliver()
    assert (world.state(profile).access, world.account(profile)["username"]) == ("active", "anna.lee")
    assert (world.jobs(), AttentionItem.objects.filter(resolved_at=None).count()) == ([], 0)


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"first_name": "Bob & Sally"}, "Please remove these characters"),
        ({"email": "nonsense"}, "Please enter an email address"),
        ({"email": "dana@example.com"}, "Somebody else has this address."),
        ({"username": "dana"}, "Somebody else has this username."),
        ({"username": "admin"}, "This username is reserved"),
        ({"reason": "short"}, "at least 10 characters"),
    ],
)
def test_a_correction_that_cannot_be_is_refused_in_the_dialog(
    world: World, staff: Staff, answers: dict[str, str], words: str
) -> None:
    world.subscriber("dana")
    anna = refused(world, first_name="Bob & Sally")
    answer = send(staff("support"), anna, "correct_account", **ANN | answers)
    assert not done(answer)
    assert words in answer.content.decode()
    anna.refresh_from_db()
    assert (anna.user.first_name, anna.email) == ("Bob & Sally", "anna@example.com")
    assert not AuditEntry.objects.filter(action="account_corrected").exists()


def test_who_may_correct(world: World, staff: Staff) -> None:
    anna = refused(world, first_name="Bob & Sally")
    assert send(staff("viewer"), anna, "correct_account", **ANN).status_code == 403
    assert dialog(anna, "correct_account") not in page_of(staff("viewer"), anna)
    assert staff("support").get(dialog(anna, "correct_account")).status_code == 200
    anna.refresh_from_db()
    assert anna.user.first_name == "Bob & Sally"


def test_a_name_and_address_that_keycloak_has_are_not_corrected_here(world: World, staff: Staff) -> None:
    dana = world.subscriber("dana")
    assert not done(send(staff("admin"), dana, "correct_account", **ANN | {"username": "dana"}))
    assert world.account(dana)["firstName"] == "Dana"


def test_a_refusal_ends_when_the_person_no_longer_needs_an_account(world: World) -> None:
    anna = refused(world, first_name="Bob & Sally")
    world.shop.v1.subscriptions.cancel(anna.stripe_subscription_id or "")
    world.deliver()
    assert world.state(anna).access == "canceled"
    assert not AttentionItem.objects.filter(resolved_at=None).exists()


def test_after_a_refusal_the_forms_know_the_new_rule(world: World) -> None:
    refused(world, first_name="Bob & Sally")
    assert user_profile.current_rules() is not user_profile.SHIPPED


def test_an_account_made_while_keycloak_drops_attributes_is_adopted(world: World) -> None:
    """Reliability review B11: it blocked for good, as somebody else's."""
    world.fault("keycloak", "drop_attributes")
    profile = world.pay(world.signup("anna"))
    world.deliver()
    profile.refresh_from_db()
    assert profile.keycloak_id is None
    world.fault("keycloak", "ok")
    world.retry()
    assert world.state(profile).access == "active"
    assert len(world.users("anna")) == 1
    assert (world.jobs(), AttentionItem.objects.filter(resolved_at=None).count()) == ([], 0)
