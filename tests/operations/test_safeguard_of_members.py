"""The safeguard counts people, not payers: with one payer, all lose access for whom the payer pays."""

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
    item = UserSubscriptionItem.objects.get(profile=pat)
    world.shop.v1.subscriptions.update(
        item.subscription.stripe_id, {"items": [{"id": item.stripe_item_id, "quantity": 3}]}
    )
    Product.objects.filter(pk=item.product_id).update(people=1, max_quantity=5)
    world.deliver()
    people = [pat, make_member(pat), make_member(pat, "ned")]
    jobs.defer("sync_members", pat.pk, reason="test")
    world.work()
    assert states(people) == ["active"] * 3
    return people


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


def test_a_lower_quantity_counts_those_who_share_it(
    world: World, family: list[UserProfile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safeguard, "FLOOR", 1)
    monkeypatch.setattr(safeguard, "SHARE", 0)
    item = UserSubscriptionItem.objects.get(profile=family[0])
    lower = {"items": [{"id": item.stripe_item_id, "quantity": 2}]}
    world.shop.v1.subscriptions.update(item.subscription.stripe_id, lower)
    compare(world)
    assert SafeguardReview.objects.get(state="pending").profile_ids == [one.pk for one in family[1:]]
    assert Membership.objects.filter(ended_at=None).count() == 2
    monkeypatch.setattr(safeguard, "FLOOR", 2)  # few: it goes on by itself
    compare(world)
    assert states(family) == ["active", "active", "canceled"]  # the newest


def test_the_law_of_sweeps_names_members_too(
    world: World, family: list[UserProfile], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.shop.v1.subscriptions.cancel(family[0].stripe_subscription_id or "")
    compare(world)
    assert states(family) == ["canceled"] * 3
    monkeypatch.setattr(safeguard, "FLOOR", 2)
    monkeypatch.setattr(safeguard, "SHARE", 0)
    assert set(violated("L30").get("L30", ())) == {str(one.pk) for one in family}
