"""What a change of the catalog would do is counted by the policy itself, at a cost that does not grow with the holders."""

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.access.models import AccessOverride
from apps.accounts.models import UserProfile
from apps.billing import prices, subscriptions
from apps.billing.models import Subscription, UserSubscriptionItem
from apps.catalog.entitlements import Entitlements
from apps.catalog.models import Product
from apps.catalog.product_entitlements import entitlements_by_product
from apps.core import clock
from apps.core.models import Job
from apps.instances.models import Instance, Seat
from apps.operations import impact
from apps.operations.impact import CatalogChange, CatalogImpact, ImpactLine, SeatDemand

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)


@pytest.fixture
def shop() -> dict[str, Product]:
    """A plan with two apps of which one needs a seat, and storage by the piece."""
    cloud = Product.objects.create(slug="cloud", name="Cloud", is_app=True, needs_instance=True)
    wiki = Product.objects.create(slug="wiki", name="Wiki", is_app=True)
    plan = Product.objects.create(slug="plan", name="Plan", placement="plan", grants={"storage_gb": 100})
    plan.includes.set([cloud, wiki])
    storage = Product.objects.create(slug="storage", name="Storage", parent=plan, grants={"storage_gb": 50})
    group = Group.objects.create(name="/frontdesk/cloud-1")
    Instance.objects.create(
        slug="cloud-1", name="Cloud 1", product=cloud, url="https://cloud-1.example.com/", group=group,
        soft_cap=700, allocation_cap=800, hard_cap=900,
    )  # fmt: skip
    return {"cloud": cloud, "wiki": wiki, "plan": plan, "storage": storage}


def sell(number: int, *lines: tuple[Product | None, str, int], status: str = "active", **fields: Any) -> UserProfile:
    """Somebody with a subscription of these (product, price, quantity)."""
    now = clock.now()
    user = User.objects.create(username=f"person-{number}")
    profile = UserProfile.objects.create(
        user=user, email=f"{user.username}@example.com", stripe_customer_id=f"cus_{number}", created_at=now, synced_at=now,
        access_state="active" if status == "active" else "none",
    )  # fmt: skip
    subscription = Subscription.objects.create(
        stripe_id=f"sub_{number}", customer_id=f"cus_{number}", status=status, stripe_created_at=now, fetched_at=now, **fields
    )  # fmt: skip
    for index, (product, price, quantity) in enumerate(lines):
        UserSubscriptionItem.objects.create(
            profile=profile, subscription=subscription, stripe_item_id=f"si_{number}_{index}", stripe_price_id=price,
            product=product, quantity=quantity, currency="eur", interval="month",
        )  # fmt: skip
    return profile


def sit(profile: UserProfile, product: Product) -> None:
    now = clock.now()
    instance = Instance.objects.get(product=product)
    Seat.objects.create(
        profile=profile, product=product, instance=instance, state="assigned", created_at=now, changed_at=now
    )
    Instance.objects.filter(pk=instance.pk).update(
        allocated_seats=instance.allocated_seats + 1, assigned=instance.assigned + 1
    )


def dropping(*apps: Product, of: Product, mapped: dict[str, int] | None = None) -> CatalogImpact:
    """What it would do to drop these apps from a plan; nothing is changed."""
    before = entitlements_by_product()
    of.includes.remove(*apps)
    after = entitlements_by_product()
    of.includes.add(*apps)
    return impact.measure_impact(CatalogChange(before, after, mapped or {}))


def test_nobody_is_asked_about_when_no_product_gives_anything_else(shop: dict[str, Product]) -> None:
    sell(1, (shop["plan"], "price_plan", 1))
    with CaptureQueriesContext(connection) as asked:
        assert (
            impact.measure_impact(CatalogChange(entitlements_by_product(), entitlements_by_product()))
            == CatalogImpact()
        )
    assert len(asked) == 4  # the catalog, twice


def test_those_who_hold_the_plan_lose_the_app_and_its_seat(shop: dict[str, Product]) -> None:
    dana, ben = (sell(number, (shop["plan"], "price_plan", 1)) for number in (1, 2))
    sell(3, (shop["storage"], "price_more", 2))
    sit(dana, shop["cloud"])
    found = dropping(shop["cloud"], of=shop["plan"])
    assert found == CatalogImpact(
        holders=(dana.pk, ben.pk), gain=0, lose=2, apps=(ImpactLine("cloud", 0, 2),), subscribers=3,
        rooms=(SeatDemand("cloud", needed=0, free=799, given_back=1),),
    )  # fmt: skip


def test_what_is_paid_for_twice_is_not_lost_by_dropping_it_once(shop: dict[str, Product]) -> None:
    sell(1, (shop["plan"], "price_plan", 1), (shop["wiki"], "price_wiki", 1))
    sell(2, (shop["plan"], "price_plan", 1))
    found = dropping(shop["wiki"], of=shop["plan"])
    assert (len(found.holders), found.lose, found.apps) == (2, 1, (ImpactLine("wiki", 0, 1),))


def test_numbers_are_counted_as_more_and_less_with_their_quantities(shop: dict[str, Product]) -> None:
    sell(1, (shop["storage"], "price_more", 3))
    sell(2, (shop["storage"], "price_more", 0))
    before = entitlements_by_product()
    after = before | {shop["storage"].pk: Entitlements(grants={"storage_gb": 40, "members": 1})}
    found = impact.measure_impact(CatalogChange(before, after))
    assert (found.gain, found.lose) == (1, 1)
    assert found.numbers == (ImpactLine("members", 1, 0), ImpactLine("storage_gb", 0, 1))


def test_who_has_no_access_holds_the_plan_and_loses_nothing_now(shop: dict[str, Product]) -> None:
    late = sell(1, (shop["plan"], "price_plan", 1), status="unpaid")
    sell(2, (shop["plan"], "price_plan", 1), status="canceled", ended_at=clock.now())
    held = sell(3, (shop["plan"], "price_plan", 1))
    AccessOverride.objects.create(
        profile=held, kind="hold", reason="abuse", created_by="staff:ada", created_at=clock.now(), starts_at=clock.now()
    )
    found = dropping(shop["wiki"], of=shop["plan"])
    assert (found.holders, found.gain, found.lose) == ((late.pk, held.pk), 0, 0)


def test_who_was_granted_the_plan_by_staff_loses_as_well(shop: dict[str, Product]) -> None:
    guest = sell(1)
    now = clock.now()
    row = AccessOverride.objects.create(
        profile=guest, kind="grant", reason="a friend", created_by="staff:ada", created_at=now, starts_at=now - DAY, ends_at=now + DAY
    )  # fmt: skip
    row.products.add(shop["plan"])
    assert dropping(shop["wiki"], of=shop["plan"]).apps == (ImpactLine("wiki", 0, 1),)
    AccessOverride.objects.update(lifted_at=now)
    assert dropping(shop["wiki"], of=shop["plan"]) == CatalogImpact()


def test_an_app_that_begins_to_need_a_seat_says_how_many_are_missing(shop: dict[str, Product]) -> None:
    for number in range(4):
        sell(number, (shop["plan"], "price_plan", 1))
    before = entitlements_by_product()
    shop["wiki"].needs_instance = True
    shop["wiki"].save()
    (room,) = impact.measure_impact(CatalogChange(before, entitlements_by_product())).rooms
    assert (room.app, room.needed, room.free, room.short) == ("wiki", 4, 0, 4)


def test_a_price_that_comes_to_stand_for_a_plan_gives_what_the_plan_gives(shop: dict[str, Product]) -> None:
    found = [sell(number, (None, "price_unknown", 1)) for number in range(2)]
    given = entitlements_by_product()
    done = impact.measure_impact(CatalogChange(given, given, {"price_unknown": shop["plan"].pk}))
    assert done.holders == tuple(one.pk for one in found)
    assert (done.gain, done.lose) == (2, 0)
    assert done.apps == (ImpactLine("cloud", 2, 0), ImpactLine("wiki", 2, 0))
    assert done.numbers == (ImpactLine("storage_gb", 2, 0),)


def test_the_limit_is_twenty_or_a_twentieth_of_those_who_subscribe() -> None:
    assert (CatalogImpact(lose=20, subscribers=100).limit, CatalogImpact(lose=20, subscribers=100).many) == (20, False)
    assert CatalogImpact(lose=21, subscribers=100).many
    assert not CatalogImpact(lose=50, subscribers=1000).many
    assert CatalogImpact(lose=51, subscribers=1000).many


def test_many_read_at_once_are_read_as_each_alone(shop: dict[str, Product]) -> None:
    sell(1, (shop["plan"], "price_plan", 1), (shop["storage"], "price_more", 2), current_period_end=clock.now() + DAY)
    sell(2, (None, "price_unknown", 1), status="past_due", past_due_since=clock.now(), open_invoice_id="in_1")
    sell(3, status="canceled", ended_at=clock.now(), money_returned="refunded")
    many = prices.subscriptions_of_customers(UserProfile.objects.values("stripe_customer_id"))
    assert len(many) == 3
    for customer, states in many.items():
        assert tuple(states) == subscriptions.read_subscriptions(customer)


def test_five_hundred_holders_cost_as_many_queries_as_five(shop: dict[str, Product]) -> None:
    def cost() -> int:
        change = CatalogChange(entitlements_by_product(), entitlements_by_product() | {shop["plan"].pk: Entitlements()})
        with CaptureQueriesContext(connection) as asked:
            found = impact.measure_impact(change)
        assert found.lose == UserProfile.objects.count()
        return len(asked)

    for number in range(5):
        sell(number, (shop["plan"], "price_plan", 1), (shop["storage"], "price_more", 2))
    few = cost()
    for number in range(5, 500):
        sell(number, (shop["plan"], "price_plan", 1), (shop["storage"], "price_more", 2))
    assert cost() == few <= 10


def test_asking_for_a_look_costs_the_same_for_five_hundred_and_names_the_first_looks_by_their_own_name() -> None:
    def cost(people: list[UserProfile]) -> int:
        with CaptureQueriesContext(connection) as asked:
            impact.reconcile_holders(tuple(one.pk for one in people), reason="test")
        return len([one for one in asked if "django_q" not in one["sql"]])  # wake-ups: at most fifty

    people = [sell(number) for number in range(500)]
    UserProfile.objects.filter(pk=people[0].pk).update(synced_at=None)
    few = cost(people[:5])
    Job.objects.all().delete()
    assert cost(people) == few
    assert Job.objects.filter(kind="reconcile", state="queued").count() == 499
    assert Job.objects.get(kind="sync_user_post_checkout").key == str(people[0].pk)
    assert not UserProfile.objects.filter(pending_since=None).exists()
