"""Whatever shape Stripe's objects have, mirroring a customer ends, and decides what an independent reading of them says.

Each case is one customer with all that belongs to them, at the stand-in: one of the objects is odd in one way (shapes.py).
The reading here shares no code with the application: it reads the JSON as Stripe would send it.
"""

import itertools
import random
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from apps.access.facts import read_facts
from apps.access.policy import Decision, decide
from apps.accounts.models import UserProfile
from apps.billing import checkout, mirror
from apps.catalog.models import Product, ProductPrice
from apps.core import clock
from apps.core.states import AccessState
from apps.sandbox.stripe.records import IDS
from tests.field.shapes import BASES, NEW_VALUE, Change, Maker, changes
from tests.sandbox.stripe_fixture import KEY
from tests.world import World

KINDS = (
    "subscription", "subscription_item", "price", "customer", "invoice", "invoice_payment", "discount", "charge", "refund",
    "dispute",
)  # fmt: skip
DAY = 86_400
EXPIRY = 30 * DAY
PAID = 500
# Where two readings are right: which of Stripe's own links between payment and charge counts when one is missing.
EITHER = ("payment_intent", "payment", "status", "latest_charge", "is_default", "customer")
NOTHING_ODD = Change()
KNOWN = {"active", "trialing", "past_due", "unpaid", "paused", "canceled", "incomplete", "incomplete_expired"}


class Case:
    """One customer's objects. `odd`: the kind that is changed."""

    def __init__(self, world: World, number: int, odd: str = "", change: Change = NOTHING_ODD, seed: int = 0) -> None:
        self.chance = random.Random(f"{odd} {change} {number} {seed}")
        self.now = clock.timestamp()
        self.odd, self.change, self.number = odd, change, number
        self.price_ids = {slug: world.price(slug) for slug in ("personal", "storage_100")} | {"unmapped": "gold, 2016"}
        self.items = [self._item(slug, index) for index, slug in enumerate(self._basket(), start=1)]
        self.subscription = self._subscription()
        self.money = self._money()
        self.customer = self._made("customer", id=self.id("customer"))
        if odd == "discount" or self.chance.random() < 0.3:
            self.customer["discount"] = self._made("discount", id=self.id("discount"))

    def id(self, kind: str, index: int = 0) -> str:
        start = IDS.get(kind, (f"{kind}_", 0))[0]
        return f"{start}case{self.number}" + (f"_{index}" if index else "")

    def objects(self) -> list[dict[str, Any]]:
        return [self.customer, self.subscription, *self.money.values()]

    def count(self) -> int:
        """How many objects were made, lines and prices included."""
        return len(self.objects()) + 2 * len(self.items) + ("discount" in self.customer)

    def _made(self, kind: str, **links: Any) -> dict[str, Any]:
        """An object of the kind, odd if it is its turn; `links` are set unless the change is about them."""
        change = self.change if kind == self.odd else NOTHING_ODD
        made: dict[str, Any] = Maker(self.now, self.chance, self.chance.choice(BASES), change).make(kind)
        return made | {name: value for name, value in links.items() if change.path.split(".")[0] != name}

    def _basket(self) -> list[str]:
        return self.chance.choice([["personal"], ["personal", "storage_100"], ["personal", "unmapped"]])

    def _item(self, slug: str, index: int) -> dict[str, Any]:
        price = self._made("price") | {"id": self.price_ids[slug], "product": f"prod_{slug}"}
        item = self._made("subscription_item")
        item |= {"id": self.id("subscription_item", index), "price": price, "subscription": self.id("subscription")}
        if self.odd == "subscription_item" and self.change.path.startswith("price."):
            item["price"] = Maker(self.now, self.chance, "full", self.change).make("subscription_item")["price"] | {
                "id": price["id"]
            }
        if "quantity" in item:
            item["quantity"] = self.chance.randint(0, 3)
        return item

    def _subscription(self) -> dict[str, Any]:
        one = self._made(
            "subscription",
            customer=self.id("customer"),
            currency="eur",
            created=self.now - 100 * DAY,
            pause_collection=None,
        )
        listed = {"object": "list", "data": self.items, "has_more": False, "url": "/v1/subscription_items"}
        return one | {"id": self.id("subscription"), "items": listed}

    def _money(self) -> dict[str, dict[str, Any]]:
        """One invoice of the current period, its payment, the charge, and perhaps a refund and a dispute."""
        late = self.subscription["status"] in {"past_due", "unpaid", "incomplete"}
        back = self.chance.choice([0, 0, 200, PAID])
        disputed = not back and self.chance.random() < 0.5
        then = self.now - 2 * DAY
        parent = {
            "type": "subscription_details",
            "quote_details": None,
            "subscription_details": {"metadata": {}, "subscription": self.id("subscription")},
        }
        line = self._line()
        made = {
            "invoice": self._made(
                "invoice", customer=self.id("customer"), parent=parent, status="open" if late else "paid", amount_paid=0 if late else PAID,
                amount_due=PAID, created=then, billing_reason="subscription_cycle", amount_paid_off_stripe=0, due_date=None,
                collection_method="charge_automatically", payments=None, lines=line, currency="eur",
                status_transitions=dict.fromkeys(("finalized_at", "paid_at"), then) | {"marked_uncollectible_at": None, "voided_at": None},
            ),
            "invoice_payment": self._made(
                "invoice_payment", invoice=self.id("invoice"), status="open" if late else "paid", amount_paid=0 if late else PAID,
                payment={"type": "payment_intent", "payment_intent": self.id("payment_intent")}, created=then,
            ),
            "payment_intent": self._made("payment_intent", customer=self.id("customer"), latest_charge=self.id("charge"), created=then),
            "charge": self._made(
                "charge", customer=self.id("customer"), payment_intent=self.id("payment_intent"), amount=PAID, amount_refunded=back, refunded=back == PAID,
                disputed=disputed, status="failed" if late else "succeeded", created=then, paid=not late,
                payment_method_details={"type": "card"}, refunds=None,
            ),
        }  # fmt: skip
        if back:
            made["refund"] = self._made(
                "refund",
                charge=self.id("charge"),
                payment_intent=self.id("payment_intent"),
                amount=back,
                status="succeeded",
                created=self.now - DAY,
            )
        if disputed:
            made["dispute"] = self._made(
                "dispute",
                charge=self.id("charge"),
                payment_intent=self.id("payment_intent"),
                amount=PAID,
                created=self.now - DAY,
            )
        paid_by = made["invoice_payment"]["payment"]
        if isinstance(paid_by.get("payment_intent"), dict):
            paid_by["payment_intent"] |= {"id": self.id("payment_intent"), "latest_charge": self.id("charge")}
        elif "payment_intent" in paid_by:
            paid_by["payment_intent"] = self.id("payment_intent")
        return {kind: one | {"id": self.id(kind)} for kind, one in made.items()}

    def _line(self) -> dict[str, Any]:
        line = self._made("line_item", id=self.id("line_item"), amount=PAID, discount_amounts=[])
        details = {
            "subscription": self.id("subscription"),
            "subscription_item": self.items[0]["id"],
            "proration": False,
        }
        line["period"] = {"start": self.now - 3 * DAY, "end": self.now + 27 * DAY}
        line["parent"] = {
            "type": "subscription_item_details",
            "subscription_item_details": details,
            "invoice_item_details": None,
        }
        return {"object": "list", "data": [line], "has_more": False, "url": "/v1/lines"}


# --- the independent reading -------------------------------------------------------------------------------------------


def money_is_gone(case: Case) -> bool:
    """All that was paid was refunded, unless nothing is due now; or its dispute was lost."""
    invoice, charge = case.money["invoice"], case.money["charge"]
    owner = ((invoice.get("parent") or {}).get("subscription_details") or {}).get("subscription")
    owner = owner["id"] if isinstance(owner, dict) else owner
    if owner != case.subscription["id"] or invoice.get("status") != "paid" or not invoice.get("amount_paid"):
        return False
    lost = charge["disputed"] and "dispute" in case.money and case.money["dispute"]["status"] == "lost"
    in_trial = case.subscription["status"] == "trialing"
    return bool(lost) or (charge["amount_refunded"] >= PAID and not in_trial)


def states(case: Case, before: AccessState) -> set[AccessState]:
    """The states that are right for the customer."""
    one, status = case.subscription, case.subscription["status"]
    if status not in KNOWN:
        return {before}
    if status in {"active", "trialing"}:
        right = AccessState.SUSPENDED if money_is_gone(case) else AccessState.ACTIVE
        vague = case.odd in case.money and case.change.path.startswith(EITHER)
        return {right, AccessState.ACTIVE, AccessState.SUSPENDED} if vague else {right}
    if status == "canceled":
        ended = one.get("ended_at") or one.get("canceled_at") or case.now
        return {AccessState.EXPIRED if ended + EXPIRY <= case.now else AccessState.CANCELED}
    return {AccessState.NONE if status.startswith("incomplete") else AccessState.SUSPENDED}


def storage(case: Case) -> int:
    """What the known lines give, in GB."""
    return sum(
        100 * item.get("quantity", 1) for item in case.items if item["price"]["id"] in list(case.price_ids.values())[:2]
    )


def check(case: Case, found: Decision, before: AccessState) -> None:
    right = states(case, before)
    assert found.state in right, (case.odd, case.change, case.subscription["status"], found)
    unmapped = any(item["price"]["id"] == case.price_ids["unmapped"] and item.get("quantity", 1) for item in case.items)
    if found.state == AccessState.ACTIVE and case.subscription["status"] in KNOWN:
        assert found.entitlements.grants.get("storage_gb", 0) == storage(case)
        assert found.partial == unmapped


# --- running it --------------------------------------------------------------------------------------------------------


def mirror_and_check(world: World, profile: UserProfile, case: Case) -> None:
    """Mirror the customer of this case, and compare the decision."""
    before = case.chance.choice([AccessState.ACTIVE, AccessState.SUSPENDED, AccessState.CANCELED, AccessState.NONE])
    UserProfile.objects.filter(pk=profile.pk).update(stripe_customer_id=case.id("customer"), access_state=before)
    profile.refresh_from_db()
    world.shop.control("put", objects=case.objects())
    assert mirror.mirror_customer(case.id("customer"))
    if case.subscription["status"] == "paused":  # with a card it is resumed, and what follows is Stripe's to say
        case.subscription = at_stripe(world, case.subscription["id"])
    profile.refresh_from_db()
    check(case, decide(read_facts(profile)), before)


def at_stripe(world: World, subscription_id: str) -> dict[str, Any]:
    """What the stand-in has now; not by the tests' client, which refuses odd objects."""
    found = requests.get(f"{world.shop.url}/stripe/v1/subscriptions/{subscription_id}", auth=(KEY, ""), timeout=30)
    assert found.status_code == 200, found.text[:500]
    return dict(found.json())


@pytest.fixture
def profile(world: World) -> UserProfile:
    """Somebody who has been synced already; what they pay for is on sale."""
    dana = world.subscriber("dana")
    assert ProductPrice.objects.filter(product=Product.objects.get(slug="storage_100")).exists()
    return dana


def picked(kind: str, number: int) -> Iterator[Change]:
    """So many changes of a kind, spread over all of them."""
    every = changes(kind)
    chance = random.Random(kind)
    return itertools.islice(itertools.chain(chance.sample(every, len(every)), itertools.cycle(every)), number)


def run(world: World, profile: UserProfile, kind: str, number: int) -> int:
    made = 0
    for index, change in enumerate(picked(kind, number)):
        case = Case(world, index + 1000 * (1 + KINDS.index(kind)), kind, change)
        mirror_and_check(world, profile, case)
        made += case.count()
    return made


def test_every_kind_of_oddness_is_made() -> None:
    """The generator covers each way, in each kind that has it."""
    for kind in (*KINDS, "checkout.session"):
        assert {change.how for change in changes(kind)} >= {"absent", "null", "minimal", "full"}
    assert Maker(0, random.Random(1), "full", Change("status", "new")).make("subscription")["status"] == NEW_VALUE
    assert sum(len(changes(kind)) for kind in KINDS) > 3000


@pytest.mark.long
def test_no_odd_object_stops_a_decision(world: World, profile: UserProfile) -> None:
    assert sum(run(world, profile, kind, 7) for kind in KINDS) >= 500


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("kind", KINDS)
def test_none_of_thousands_of_odd_objects_stops_a_decision(
    world: World, profile: UserProfile, kind: str, part: int
) -> None:
    """Twenty thousand objects in all: 40 parts of at least 500."""
    every = changes(kind)
    chance, made, number = random.Random(f"{kind} {part}"), 0, 0
    while made < 500:
        case = Case(world, number, kind, every[(part + 4 * number) % len(every)], seed=chance.randint(0, 10**6))
        mirror_and_check(world, profile, case)
        made, number = made + case.count(), number + 1


@pytest.mark.parametrize("base", BASES)
def test_no_odd_checkout_session_stops_its_reading(world: World, base: str) -> None:
    for number, change in enumerate(picked("checkout.session", 100)):
        made = Maker(clock.timestamp(), random.Random(number), base, change).make("checkout.session")
        made |= {"id": f"cs_case{number}"}
        world.shop.control("put", objects=[made])
        found = checkout.fetch_session(made["id"])
        assert (found.id, found.status, found.payment_status) == (
            made["id"],
            made.get("status") or "",
            made["payment_status"],
        )
        assert found.is_paid == (made["payment_status"] in {"paid", "no_payment_required"})
