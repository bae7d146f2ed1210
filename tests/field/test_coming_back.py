"""Paying again after Stripe has forgotten the customer, or knows them in another currency; and what a page says then."""

from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import Signup, UserProfile
from apps.billing import comparison, customers
from apps.billing.models import Subscription
from apps.billing.parsing import moment
from apps.catalog.models import Product, ProductPrice
from apps.core.errors import NeedsOperator
from apps.core.models import AttentionItem, AuditEntry, Job
from apps.onboarding import signup_checkout
from tests.storefront.test_recovery import PAY, canceled, error, pay, prove
from tests.storefront.visitor import ACCOUNT, SESSION, Visitor
from tests.world import World


@pytest.fixture
def visitor() -> Visitor:
    return Visitor()


def delete_customer(world: World, profile: UserProfile, *, silently: bool = False) -> str:
    customer = profile.stripe_customer_id or ""
    world.shop.v1.customers.delete(customer)
    if silently:
        world.skip()
    world.deliver()
    return customer


def in_dollars(world: World, slug: str = "personal") -> None:
    """From now on the product is sold in another currency."""
    product = Product.objects.get(slug=slug)
    ProductPrice.objects.filter(product=product).update(is_active=False)
    price = world.shop.price(amount=900, product=product.stripe_product_id or "")
    ProductPrice.objects.create(
        product=product, stripe_price_id=price, interval="month", unit_amount=900, currency="usd"
    )


def said(answer: Any) -> str:
    return str(answer.json()["error"]["message"])


@pytest.mark.parametrize("silently", [False, True], ids=["told", "never told"])
def test_a_customer_deleted_at_stripe_comes_back_as_the_same_person(
    world: World, visitor: Visitor, silently: bool
) -> None:
    """laravel/cashier-stripe#920, invertase/stripe-firebase-extensions#385, craftcms/commerce-stripe#35."""
    dana = canceled(world, personal=1, storage_100=2)
    before = world.state(dana)
    gone = delete_customer(world, dana, silently=silently)
    assert prove(visitor, dana)["next_step"] == "renew"
    pay(world, visitor.api(PAY).json()["url"])
    world.deliver()
    after = world.state(dana)
    assert (after.access, after.account) == ("active", True)
    assert [product for product, _ in after.seats] == [product for product, _ in before.seats]
    assert dana.stripe_customer_id not in {gone, None}
    assert UserProfile.objects.count() == 1
    entry = AuditEntry.objects.get(action="customer_replaced")
    assert (entry.before, entry.after) == ({"customer": gone}, {"customer": dana.stripe_customer_id})
    assert sorted(Subscription.objects.values_list("customer_id", "status")) == [
        (dana.stripe_customer_id, "active"),
        (dana.stripe_customer_id, "canceled"),
    ]
    assert world.jobs() == []
    assert not AttentionItem.objects.exists()


def test_who_was_paying_when_the_customer_was_deleted_comes_back(world: World, visitor: Visitor) -> None:
    dana = world.subscriber("dana")
    delete_customer(world, dana)
    assert world.state(dana).access == "canceled"
    prove(visitor, dana)
    for _ in range(2):
        url = visitor.api(PAY).json()["url"]
    pay(world, url)
    world.deliver()
    assert world.state(dana).access == "active"
    assert len(world.shop.v1.customers.list({"email": dana.email}).data) == 1


def test_the_open_payment_of_a_deleted_customer_is_replaced_too(world: World, visitor: Visitor) -> None:
    dana = canceled(world)
    prove(visitor, dana)
    first = visitor.api(PAY).json()["url"]
    delete_customer(world, dana)
    second = visitor.api(PAY).json()["url"]
    assert first != second
    pay(world, second)
    world.deliver()
    assert world.state(dana).access == "active"


def test_a_first_signup_goes_on_after_its_customer_was_deleted(world: World) -> None:
    signup = world.signup("dana")
    first = signup_checkout.open_checkout(signup, ui="embedded")
    assert signup.profile is not None
    delete_customer(world, signup.profile)
    signup = Signup.objects.get(pk=signup.pk)
    second = signup_checkout.open_checkout(signup, ui="embedded")
    assert first.session_id != second.session_id
    dana = world.pay(signup)
    world.deliver()
    assert world.state(dana).access == "active"
    assert world.jobs() == []


def test_the_portal_of_a_deleted_customer_opens_for_the_new_one(world: World, client: Client) -> None:
    dana = world.subscriber("dana")
    gone = dana.stripe_customer_id or ""
    world.shop.v1.customers.delete(gone)
    client.force_login(dana.user)
    answer = client.post("/dashboard/billing/", {"flow": "payment_method_update"})
    assert answer["Location"].startswith(world.url)
    world.deliver()
    assert world.state(dana).access == "canceled"
    assert dana.stripe_customer_id != gone
    assert world.jobs() == []


def test_a_customer_stripe_never_heard_of_is_not_replaced_while_somebody_pays(world: World) -> None:
    """It may be the key of another account: everybody would get a new customer."""
    dana = world.subscriber("dana")
    customer = dana.stripe_customer_id or ""
    world.shop.control("delete", kind="customer", id=customer)
    with pytest.raises(NeedsOperator):
        customers.ensure_customer(dana)
    dana.refresh_from_db()
    assert dana.stripe_customer_id == customer


def test_another_currency_is_said_and_staff_are_told_once(world: World, visitor: Visitor) -> None:
    """Paymenter/Paymenter#986, gitpod-io/gitpod#12376, Automattic/woocommerce-payments#3105."""
    dana = canceled(world)
    in_dollars(world)
    prove(visitor, dana)
    answers = [visitor.api(PAY) for _ in range(3)]
    assert {error(answer) for answer in answers} == {(409, "needs_staff")}
    assert "another currency" in said(answers[0])
    assert "support@example.com" in said(answers[0])
    assert "minute" not in said(answers[0])
    item = AttentionItem.objects.get()
    assert (item.cause, item.profile_ids, item.times) == ("page_refused", [dana.pk], 3)
    delete_customer(world, dana)  # what the item proposes
    pay(world, visitor.api(PAY).json()["url"])
    world.deliver()
    assert world.state(dana).access == "active"


def test_what_only_staff_can_fix_is_one_item_for_all_it_affects(world: World, settings: Any) -> None:
    """invertase/stripe-firebase-extensions#385: nobody was told."""
    people = [world.subscriber(name) for name in ("dana", "emil")]
    settings.STRIPE_SECRET_KEY = "sk_test_not-a-key"
    customers_client = Client()
    from apps.billing import stripe_client

    stripe_client.client.cache_clear()
    for person in people:
        customers_client.force_login(person.user)
        answer = customers_client.post("/dashboard/billing/", follow=True)
        assert "We&#x27;ve been told" in answer.content.decode()
        assert "minute" not in answer.content.decode()
    item = AttentionItem.objects.get()
    assert item.profile_ids == [person.pk for person in people]
    assert "STRIPE_SECRET_KEY" in item.sentence
    visitor = Visitor().proven("nora@example.com")
    answer = visitor.api(SESSION, **ACCOUNT | {"username": "nora"})
    stripe_client.client.cache_clear()
    assert error(answer) == (409, "needs_staff")
    item.refresh_from_db()
    assert item.times == 3
    assert visitor.signup.profile_id in item.profile_ids
    assert not Job.objects.filter(state__in=["dead", "blocked"]).exists()


def test_what_passes_by_itself_is_no_item(world: World, client: Client) -> None:
    dana = world.subscriber("dana")
    client.force_login(dana.user)
    world.fault("stripe", "http_503")
    answer = client.post("/dashboard/billing/", follow=True)
    world.fault("stripe", "ok")
    assert "try again in a minute" in answer.content.decode()
    assert not AttentionItem.objects.exists()


def test_a_deleted_customer_s_subscription_ended_when_stripe_says_so_and_differs_no_more(world: World) -> None:
    """It renewed and changed its lines shortly before, and we heard of nothing until the night two days later."""
    dana = world.subscriber("dana", personal=1, storage_100=1)
    world.pass_time(days=32)
    before = world.stripe_state(dana)
    subscription, storage = before["id"], before["items"]["data"][-1]["id"]
    world.shop.v1.subscriptions.update(subscription, {"items": [{"id": storage, "quantity": 3}]})
    world.shop.v1.customers.delete(dana.stripe_customer_id or "")
    world.skip()
    world.pass_time(days=2)
    world.sweep()
    theirs = world.shop.v1.subscriptions.retrieve(subscription)
    ours = Subscription.objects.get(stripe_id=subscription)
    assert (ours.status, ours.ended_at) == ("canceled", moment(theirs.ended_at))
    assert world.state(dana).access == "canceled"
    found = comparison.compare_slice(comparison.Cursor(), pause_may_close=False)
    assert (found.looked_at, found.differing) == (1, frozenset())
    assert not AttentionItem.objects.filter(cause="unknown_fact", resolved_at=None).exists()
    world.assert_laws_hold()
