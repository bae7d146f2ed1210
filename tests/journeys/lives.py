"""What can happen to a subscription at Stripe, and what a person should have in the end, computed afresh."""

import datetime as dt
from dataclasses import replace
from typing import Any

from apps.access.policy import Account, Facts, LineFact, SubscriptionFact, Terms, decide
from apps.accounts.models import UserProfile
from apps.catalog.models import ProductPrice
from apps.catalog.product_entitlements import entitlements_by_product
from apps.core import clock
from apps.core.states import SubscriptionStatus
from tests.world import State, World

TURNS = ("plus", "plan", "storage", "leave", "stay", "fail", "fix", "refund", "cancel")


def turn(world: World, profile: UserProfile, what: str) -> None:
    """One thing that happens at Stripe. What cannot happen to a subscription in its present state does not."""
    now = world.stripe_state(profile)
    if now["status"] == "canceled":
        return
    if what in {"plus", "plan"}:
        change_plan(world, now, world.price("plus" if what == "plus" else "personal"))
    elif what == "storage":
        buy_storage(world, now)
    elif what in {"leave", "stay"}:
        world.shop.v1.subscriptions.update(now["id"], {"cancel_at_period_end": what == "leave"})
    elif what == "fail":
        world.shop.control("payments", customer=profile.stripe_customer_id, mode="fail")
        world.pass_time(days=32)
    elif what == "fix":
        mend(world, now)
    elif what == "refund":
        refund(world, profile)
    else:
        world.shop.v1.subscriptions.cancel(now["id"])


def change_plan(world: World, now: dict[str, Any], price: str) -> None:
    line = now["items"]["data"][0]
    if now["status"] == "active" and line["price"]["id"] != price:
        wish: Any = {"items": [{"id": line["id"], "price": price}], "proration_behavior": "none"}
        world.shop.v1.subscriptions.update(now["id"], wish)


def buy_storage(world: World, now: dict[str, Any]) -> None:
    if now["status"] == "active" and len(now["items"]["data"]) == 1:
        item = {"price": world.price("storage_100"), "quantity": 3}
        world.shop.v1.subscriptions.update(now["id"], {"items": [item], "proration_behavior": "none"})


def mend(world: World, now: dict[str, Any]) -> None:
    world.shop.control("payments", customer=now["customer"], mode="ok")
    for invoice in world.shop.v1.invoices.list({"subscription": now["id"], "status": "open"}).data:
        world.shop.v1.invoices.pay(invoice.id)


def refund(world: World, profile: UserProfile) -> None:
    charges = world.shop.v1.charges.list({"customer": profile.stripe_customer_id or ""}).data
    paid = [one for one in charges if one.status == "succeeded"]
    if paid and not paid[0].refunded:
        world.shop.control("refund", charge=paid[0].id)


def truth(world: World, profile: UserProfile) -> State:
    """What the person should have, from Stripe's own answers and the policy; none of our rows but the price list."""
    listed = world.shop.v1.subscriptions.list({"customer": profile.stripe_customer_id or "", "status": "all"}).data
    found = [one.to_dict() for one in listed]
    facts = Facts(
        clock.now(),
        Terms(dt.timedelta(0), dt.timedelta(days=30)),
        tuple(_fact(world, one) for one in found),
    )
    wanted = decide(facts)
    newest = found[0]
    lines = newest["items"]["data"]
    apps = sorted(wanted.entitlements.seats)
    places = {app: f"{app}-1" for app in apps}
    return State(
        access=wanted.state,
        subscription=newest["status"],
        items=tuple(sorted((line["price"]["id"], line["quantity"]) for line in lines)),
        seats=tuple((app, "assigned") for app in apps),
        account=wanted.account == Account.ENABLED,
        attributes=wanted.entitlements.attributes(places),
        groups=tuple(f"/frontdesk/{app}-1" for app in apps),
        local_groups=tuple(f"/frontdesk/{app}-1" for app in apps),
    )


def _fact(world: World, one: dict[str, Any]) -> SubscriptionFact:
    catalog = entitlements_by_product()
    products = dict(ProductPrice.objects.values_list("stripe_price_id", "product_id"))
    bought = [(products[line["price"]["id"]], line["quantity"]) for line in one["items"]["data"]]
    ended = one["ended_at"] and dt.datetime.fromtimestamp(one["ended_at"], tz=dt.UTC)
    since = clock.now() - dt.timedelta(days=1) if one["status"] == "past_due" else None
    return SubscriptionFact(
        one["id"],
        SubscriptionStatus(one["status"]),
        tuple(LineFact(product, catalog[product].times(quantity)) for product, quantity in bought),
        ended_at=ended,
        past_due_since=since,
        money_returned=_returned(world, one),
    )


def _returned(world: World, one: dict[str, Any]) -> str:
    paid = world.shop.v1.invoices.list({"subscription": one["id"], "status": "paid", "limit": 1}).data
    if one["status"] not in {"active", "trialing"} or not paid:
        return ""
    charges = world.shop.v1.charges.list({"customer": one["customer"]}).data
    mine = [charge for charge in charges if charge.status == "succeeded"]
    return "refunded" if mine and mine[0].refunded else ""


def seen(world: World, profile: UserProfile, expected: State) -> State:
    """What is; of somebody shut out the kept seats, and whether there ever was an account, are other tests' business."""
    state = world.state(profile)
    return state if expected.account else replace(state, seats=(), account=bool(state.account))
