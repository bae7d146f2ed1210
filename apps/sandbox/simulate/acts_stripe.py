"""What customers, their banks and the operator's staff do at Stripe. Each act says in words what it did, or raises Impossible."""

import random
from typing import Any

from apps.sandbox.simulate.lives import Life
from apps.sandbox.simulate.world import Impossible, SimulatedWorld

Obj = dict[str, Any]
DAY = 86_400
PLANS = ("personal", "plus")


def _interval(one: Obj) -> str:
    return str(one["items"]["data"][0]["price"]["recurring"]["interval"])


def _product(world: SimulatedWorld, line: Obj) -> str:
    return world.price_list().products[line["price"]["id"]]


def _line(world: SimulatedWorld, one: Obj, *products: str) -> Obj:
    for line in one["items"]["data"]:
        if _product(world, line) in products:
            return dict(line)
    raise Impossible


def _change(world: SimulatedWorld, one: Obj, dice: random.Random, **wish: Any) -> None:
    behaviour = dice.choice(["create_prorations", "always_invoice", "none"])
    world.stripe.post(f"subscriptions/{one['id']}", proration_behavior=behaviour, **wish)


def _change_plan(world: SimulatedWorld, life: Life, dice: random.Random, *, now: str, then: str) -> str:
    one = world.running(life)
    line = _line(world, one, now)
    price = world.prices[f"{then}:{_interval(one)}"]
    extra = [each for each in one["items"]["data"] if then == "plus" and _product(world, each) == "vaultwarden"]
    wish = {"items[0][id]": line["id"], "items[0][price]": price}
    if extra:
        wish |= {"items[1][id]": extra[0]["id"], "items[1][deleted]": "true"}
    _change(world, one, dice, **wish)
    return f"changes from {now} to {then}"


def upgrade(world: SimulatedWorld, life: Life, dice: random.Random) -> str:
    return _change_plan(world, life, dice, now="personal", then="plus")


def downgrade(world: SimulatedWorld, life: Life, dice: random.Random) -> str:
    return _change_plan(world, life, dice, now="plus", then="personal")


def add_on(world: SimulatedWorld, life: Life, dice: random.Random) -> str:
    one = world.running(life)
    have = {_product(world, line) for line in one["items"]["data"]}
    wanted = [
        name
        for name in ("storage_100", "vaultwarden")
        if name not in have and not (name == "vaultwarden" and "plus" in have)
    ]
    if not wanted:
        raise Impossible
    chosen = dice.choice(wanted)
    quantity = dice.randint(1, 4) if chosen == "storage_100" else 1
    price = world.prices[f"{chosen}:{_interval(one)}"]
    _change(world, one, dice, **{"items[0][price]": price, "items[0][quantity]": quantity})
    return f"adds {quantity} × {chosen}"


def drop_add_on(world: SimulatedWorld, life: Life, dice: random.Random) -> str:
    one = world.running(life)
    line = _line(world, one, "storage_100", "vaultwarden")
    _change(world, one, dice, **{"items[0][id]": line["id"], "items[0][deleted]": "true"})
    return f"drops {_product(world, line)}"


def change_quantity(world: SimulatedWorld, life: Life, dice: random.Random) -> str:
    one = world.running(life)
    line = _line(world, one, "storage_100")
    quantity = dice.choice([number for number in range(1, 6) if number != line["quantity"]])
    _change(world, one, dice, **{"items[0][id]": line["id"], "items[0][quantity]": quantity})
    return f"takes {quantity} × storage_100 instead of {line['quantity']}"


def fail_payments(world: SimulatedWorld, life: Life, _dice: random.Random) -> str:
    world.running(life, "active", "trialing")
    world.stripe.control("payments", customer=life.customer, mode="fail")
    return "has a card that is refused from now on"


def mend_payments(world: SimulatedWorld, life: Life, _dice: random.Random) -> str:
    """A card that works again, and the open invoices are paid with it."""
    world.running(life, "past_due", "unpaid")
    world.stripe.control("payments", customer=life.customer, mode="ok")
    life.debit = ""
    card = world.stripe.post("payment_methods/pm_card_visa/attach", customer=life.customer)["id"]
    for one in world.subscriptions(life):
        if one["status"] in ("past_due", "unpaid", "active"):
            world.stripe.post(f"subscriptions/{one['id']}", default_payment_method=card)
    for invoice in world.every("invoices", customer=life.customer, status="open"):
        world.stripe.post(f"invoices/{invoice['id']}/pay")
    return "pays what is open, with a new card"


def use_debit(world: SimulatedWorld, life: Life, dice: random.Random) -> str:
    """A bank account instead of a card: its refusals come days later."""
    one = world.running(life)
    if life.debit:
        raise Impossible
    bank = world.stripe.post("payment_methods/pm_usBankAccount/attach", customer=life.customer)["id"]
    world.stripe.post(f"subscriptions/{one['id']}", default_payment_method=bank)
    life.debit = dice.choice(["pays", "fails"])
    return f"pays by debit from now on; the bank {life.debit}"


def answer_debits(world: SimulatedWorld, life: Life) -> str:
    """The bank's answer to debits that are three days old; empty when there are none."""
    pending = [each for each in world.every("charges", customer=life.customer) if each["status"] == "pending"]
    if not any(world.now() - each["created"] > 3 * DAY for each in pending):
        return ""
    for invoice in world.every("invoices", customer=life.customer, status="open"):
        world.stripe.control("async", invoice=invoice["id"], paid=life.debit == "pays")
    return f"the bank answers a debit: it {life.debit}"


def leave(world: SimulatedWorld, life: Life, _dice: random.Random) -> str:
    one = world.running(life, "active", "trialing")
    if one["cancel_at"]:
        raise Impossible
    world.stripe.post(f"subscriptions/{one['id']}", cancel_at_period_end="true")
    return "cancels at the end of the period"


def stay(world: SimulatedWorld, life: Life, _dice: random.Random) -> str:
    one = world.running(life, "active", "trialing")
    if not one["cancel_at"]:
        raise Impossible
    world.stripe.post(f"subscriptions/{one['id']}", cancel_at_period_end="false")
    return "undoes the cancellation"


def leave_now(world: SimulatedWorld, life: Life, _dice: random.Random) -> str:
    one = world.running(life, "active", "trialing", "past_due", "paused")
    world.stripe.delete(f"subscriptions/{one['id']}")
    return "cancels at once"


def _last_charge(world: SimulatedWorld, life: Life) -> Obj:
    for one in world.every("charges", customer=life.customer):
        if one["status"] == "succeeded" and not one["amount_refunded"] and not one["disputed"]:
            return one
    raise Impossible


def refund(world: SimulatedWorld, life: Life, _dice: random.Random) -> str:
    world.running(life)
    charge = _last_charge(world, life)
    world.stripe.control("refund", charge=charge["id"])
    return f"gets the last payment back, {charge['amount']} cents"


def refund_a_part(world: SimulatedWorld, life: Life, dice: random.Random) -> str:
    charge = _last_charge(world, life)
    amount = max(1, int(charge["amount"] * dice.uniform(0.1, 0.9)))
    world.stripe.control("refund", charge=charge["id"], amount=amount)
    return f"gets {amount} of {charge['amount']} cents back"


def dispute(world: SimulatedWorld, life: Life, _dice: random.Random) -> str:
    charge = _last_charge(world, life)
    if life.dispute:
        raise Impossible
    world.stripe.control("dispute", charge=charge["id"])
    life.dispute = str(world.stripe.get("disputes", charge=charge["id"])["data"][0]["id"])
    return "disputes the last payment"


def close_dispute(world: SimulatedWorld, life: Life, dice: random.Random) -> str:
    if not life.dispute:
        raise Impossible
    status = dice.choice(["won", "lost", "lost"])
    world.stripe.control("close_dispute", dispute=life.dispute, status=status)
    life.dispute = ""
    return f"the dispute is {status}"


def pause(world: SimulatedWorld, life: Life, dice: random.Random) -> str:
    """Stripe collects no payments for a while; by our terms access stays."""
    one = world.running(life)
    if one["pause_collection"]:
        raise Impossible
    until = world.now() + dice.randint(5, 40) * DAY
    wish = {
        "pause_collection[behavior]": dice.choice(["void", "mark_uncollectible"]),
        "pause_collection[resumes_at]": until,
    }
    world.stripe.post(f"subscriptions/{one['id']}", **wish)
    return "has payments paused"


def resume(world: SimulatedWorld, life: Life, _dice: random.Random) -> str:
    one = world.running(life)
    if not one["pause_collection"]:
        raise Impossible
    world.stripe.post(f"subscriptions/{one['id']}", pause_collection="")
    return "has payments resumed"


def trial(world: SimulatedWorld, life: Life, dice: random.Random) -> str:
    one = world.running(life)
    if one["cancel_at"] or one["pause_collection"]:
        raise Impossible
    days = dice.randint(4, 20)
    world.stripe.post(f"subscriptions/{one['id']}", trial_end=world.now() + days * DAY, proration_behavior="none")
    return f"is given a trial of {days} days"


def trial_without_card(world: SimulatedWorld, life: Life, dice: random.Random) -> str:
    """At its end Stripe pauses the subscription, since there is nothing to charge."""
    one = world.running(life)
    if one["cancel_at"] or one["pause_collection"] or not one["default_payment_method"]:
        raise Impossible
    wish = {"trial_end": world.now() + dice.randint(2, 10) * DAY, "proration_behavior": "none"}
    wish["trial_settings[end_behavior][missing_payment_method]"] = "pause"
    world.stripe.post(f"subscriptions/{one['id']}", **wish)
    for method in world.every("payment_methods", customer=life.customer):
        world.stripe.post(f"payment_methods/{method['id']}/detach")
    life.debit = ""
    return "is given a trial, and takes the card away"


def resume_paused(world: SimulatedWorld, life: Life, _dice: random.Random) -> str:
    one = world.running(life, "paused")
    card = world.stripe.post("payment_methods/pm_card_visa/attach", customer=life.customer)["id"]
    world.stripe.post(f"subscriptions/{one['id']}", default_payment_method=card)
    world.stripe.post(f"subscriptions/{one['id']}/resume")
    return "goes on after the trial, with a card"


def second_subscription(world: SimulatedWorld, life: Life, dice: random.Random) -> str:
    """A second one of the same customer, as made in Stripe's dashboard by mistake."""
    if len([one for one in world.subscriptions(life) if one["status"] in ("active", "past_due")]) != 1:
        raise Impossible
    plan = dice.choice(PLANS)
    card = world.stripe.post("payment_methods/pm_card_visa/attach", customer=life.customer)["id"]
    wish = {"items[0][price]": world.prices[f"{plan}:month"], "default_payment_method": card}
    world.stripe.post("subscriptions", customer=life.customer, **wish)
    return f"pays for a second subscription, to {plan}"


def delete_customer(world: SimulatedWorld, life: Life, dice: random.Random) -> str:
    world.running(life)
    if dice.random() < 0.5 and len(life.story) < 3:
        raise Impossible
    world.stripe.delete(f"customers/{life.customer}")
    life.deleted = True
    return "is deleted as a customer at Stripe"
