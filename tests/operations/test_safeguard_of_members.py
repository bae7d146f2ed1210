"""The safeguard counts people, not payers: with one payer, all lose access for whom the payer pays."""

from typing import Any

import pytest

from apps.accounts.models import Membership, UserProfile
from apps.billing.models import UserSubscriptionItem
from apps.catalog.models import Product
from apps.core import jobs
from apps.operations import safeguard
from apps.operations.models import SafeguardReview
from tests.access.test_sharing import make_member
from tests.laws import violated
from tests.world import World


@pytest.fixture
def family(world: World) -> list[UserProfile]:
    """Pat pays for Mia and Ned, each of whom is one more."""
    pat = world.subscriber("pat")
    change(world, pat, quantity=3)
    Product.objects.filter(slug="personal").update(people=1, max_quantity=5)
    world.deliver()
    people = [pat, make_member(pat), make_member(pat, "ned")]
    jobs.defer("sync_members", pat.pk, reason="test")
    world.work()
    assert states(people) == ["active"] * 3
    return people


def change(world: World, payer: UserProfile, **line: Any) -> None:
    """What the payer pays for, at Stripe alone."""
    item = UserSubscriptionItem.objects.get(profile=payer)
    wish: Any = {"items": [{"id": item.stripe_item_id} | line]}
    world.shop.v1.subscriptions.update(item.subscription.stripe_id, wish)


def states(people: list[UserProfile]) -> list[str]:
    return [UserProfile.objects.get(pk=one.pk).access_state for one in people]


def compare(world: World) -> None:
    world.skip()  # no event of it ever comes
    jobs.defer("compare_subscriptions", "periodic")
    world.work()


def test_a_canceled_payer_counts_with_everybody_they_pay_for(
    world: World, family: list[UserProfile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safeguard, "FLOOR", 2)
    monkeypatch.setattr(safeguard, "SHARE", 0)
    world.shop.v1.subscriptions.cancel(family[0].stripe_subscription_id or "")
    compare(world)
    review = SafeguardReview.objects.get(state="pending")
    assert review.profile_ids == [one.pk for one in family]
    assert states(family) == ["active"] * 3
    safeguard.approve(review, expected=3, actor="staff:ada", reason="they are gone")
    world.work()
    assert states(family) == ["canceled"] * 3
    monkeypatch.setattr(safeguard, "FLOOR", 0)
    assert violated("L30") == {}


@pytest.mark.parametrize(("quantity", "stay"), [(2, 1), (1, 0)])
def test_a_lower_quantity_counts_those_who_no_longer_fit(
    world: World, family: list[UserProfile], monkeypatch: pytest.MonkeyPatch, quantity: int, stay: int
) -> None:
    leave = 2 - stay
    monkeypatch.setattr(safeguard, "FLOOR", leave - 1)
    monkeypatch.setattr(safeguard, "SHARE", 0)
    change(world, family[0], quantity=quantity)
    compare(world)
    assert SafeguardReview.objects.get(state="pending").profile_ids == [one.pk for one in family[1 + stay :]]
    assert Membership.objects.filter(ended_at=None).count() == 2
    monkeypatch.setattr(safeguard, "FLOOR", leave)  # few: it goes on by itself
    compare(world)
    assert states(family) == ["active"] * (1 + stay) + ["canceled"] * leave  # the newest


def test_another_price_for_as_many_people_takes_nothing_from_anybody(
    world: World, family: list[UserProfile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safeguard, "FLOOR", 0)
    monkeypatch.setattr(safeguard, "SHARE", 0)
    change(world, family[0], price=world.price("personal", "year"), quantity=3)
    compare(world)
    assert not SafeguardReview.objects.exists()
    assert UserSubscriptionItem.objects.get(profile=family[0]).interval == "year"
    assert states(family) == ["active"] * 3


def test_the_law_of_sweeps_names_members_too(
    world: World, family: list[UserProfile], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.shop.v1.subscriptions.cancel(family[0].stripe_subscription_id or "")
    compare(world)
    assert states(family) == ["canceled"] * 3
    monkeypatch.setattr(safeguard, "FLOOR", 2)
    monkeypatch.setattr(safeguard, "SHARE", 0)
    assert set(violated("L30").get("L30", ())) == {str(one.pk) for one in family}
