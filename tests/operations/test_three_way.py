"""Which of Stripe, Frontdesk and Keycloak says something else about one person; each is made to, alone and together."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from apps.accounts.models import UserProfile
from apps.core.errors import DependencyDown
from apps.identity.keycloak import client as keycloak
from apps.operations.three_way import ThreeWay, compare_three_ways
from tests.world import World


@pytest.fixture
def dana(world: World) -> UserProfile:
    return world.subscriber("dana")


def cancel_unseen(world: World, dana: UserProfile) -> None:
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    world.skip()


def disable(_world: World, dana: UserProfile) -> None:
    keycloak().update_user(dana.keycloak_id or "", enabled=False)


def lag(_world: World, dana: UserProfile) -> None:
    UserProfile.objects.filter(pk=dana.pk).update(access_state="suspended")


def compare(dana: UserProfile) -> ThreeWay:
    return compare_three_ways(UserProfile.objects.select_related("user").get(pk=dana.pk))


def test_all_three_agree(dana: UserProfile) -> None:
    found = compare(dana)
    assert (found.agree, found.verdict) == (True, "All three agree.")
    assert [one.name for one in found.sides] == ["Stripe", "Frontdesk", "Keycloak"]
    stripe, ours, there = (" ".join(one.says) for one in found.sides)
    assert f"{dana.stripe_subscription_id} is active, with 1 line." in stripe
    assert "Access is active, entitled to" in ours
    assert "The account is enabled, in /frontdesk/nextcloud-" in there


@pytest.mark.parametrize(
    ("broken", "verdict", "said"),
    [
        (
            [cancel_unseen],
            "Stripe says something else than Frontdesk and Keycloak.",
            "is canceled at Stripe, here it is active.",
        ),
        ([disable], "Keycloak says something else than Stripe and Frontdesk.", "To be as decided: Enable the account."),
        ([lag], "Frontdesk says something else than Stripe and Keycloak.", "The last sync left access suspended"),
        ([cancel_unseen, disable], "Stripe and Keycloak say something else than Frontdesk.", "Enable the account."),
        ([cancel_unseen, disable, lag], "Stripe and Frontdesk and Keycloak say something else.", "a sync is due."),
    ],
)
def test_the_one_that_differs_is_named(
    broken: list[Any], verdict: str, said: str, world: World, dana: UserProfile
) -> None:
    for make in broken:
        make(world, dana)
    found = compare(dana)
    assert (found.agree, found.verdict) == (False, verdict)
    assert said in " ".join(sentence for one in found.sides for sentence in one.differs)


def test_one_that_does_not_answer_is_said(dana: UserProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_given: Any) -> Any:
        raise DependencyDown("stripe", "Stripe does not answer.")

    monkeypatch.setattr("apps.billing.comparison.read_customer", away)
    found = compare(dana)
    assert found.verdict == "Frontdesk and Keycloak agree. Stripe could not be asked."
    assert found.sides[0].problem == "Stripe does not answer."
    assert not found.agree


def test_staff_see_it_on_the_subscribers_page(dana: UserProfile, world: World) -> None:
    client = Client()
    client.force_login(User.objects.create(username="ada", is_staff=True, is_superuser=True))
    address = reverse("admin:accounts_userprofile_three_way", args=[dana.pk])
    assert address in client.get(reverse("admin:accounts_userprofile_change", args=[dana.pk])).content.decode()
    assert "All three agree." in client.get(address).content.decode()
    disable(world, dana)
    assert "Keycloak says something else than Stripe and Frontdesk." in client.get(address).content.decode()
