"""What is offered and what somebody has chosen of it. Prices come only from ProductPrice, in minor units.

`Shop.load` reads all offers in four queries; the rest is arithmetic. A choice has its basket as slug -> quantity: a signup stores
one, and a subscriber who changes the plan makes one.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

from django.conf import settings
from django.utils.translation import gettext as _

from apps.accounts.models import Signup, UserProfile
from apps.catalog.models import Product, ProductPrice
from apps.core import clock, languages
from apps.core.errors import BadInput
from apps.core.money import format_money
from apps.instances import capacity
from apps.onboarding import checkout_attempt, order_people
from apps.onboarding.order_summary import OrderSummary, SaleTerms, Sold, summarize

INTERVALS = ("month", "year")
PLAN, GENERAL, STORAGE = (
    Product.Placement.PLAN,
    Product.Placement.GENERAL,
    Product.Placement.STORAGE,
)


class Choice(Protocol):
    """What somebody has chosen: a signup, or the new plan of a subscriber."""

    interval: str
    basket: Any


@dataclass(frozen=True)
class Offer:
    """A product on offer: its active price per interval, and whether it is full."""

    product: Product
    prices: Mapping[str, ProductPrice]
    full: bool

    @property
    def month(self) -> ProductPrice | None:
        """The monthly price, for templates."""
        return self.prices.get("month")

    @property
    def year(self) -> ProductPrice | None:
        """The yearly price, for templates."""
        return self.prices.get("year")

    @property
    def saving(self) -> int:
        """How much a year is cheaper than twelve months, in minor units; never negative."""
        month, year = (price.unit_amount if price else None for price in (self.month, self.year))
        return 0 if month is None or year is None else max(0, 12 * month - year)

    @property
    def saved_percent(self) -> int:
        """The same of twelve months' price, in whole per cent, rounded down."""
        paid_monthly = 12 * (self.month.unit_amount or 0) if self.month else 0
        return 100 * self.saving // paid_monthly if paid_monthly else 0

    def fits(self, plan: "Offer | None") -> bool:
        """Whether it can be bought with `plan`: it belongs to it or to none, and is not included in it."""
        parent = self.product.parent_id
        allowed = parent is None or (plan is not None and parent == plan.product.pk)
        return allowed and not (plan is not None and self.is_included_in(plan))

    def is_included_in(self, plan: "Offer") -> bool:
        """Whether the plan includes it at no extra charge."""
        return self.product in plan.product.includes.all()


@dataclass(frozen=True)
class OrderLine:
    """One line of an order; `amount` is for one interval, in minor units."""

    offer: Offer
    quantity: int
    amount: int


@dataclass(frozen=True)
class Order:
    """What a choice would pay per interval, after `trial_days` without a charge."""

    plan: Offer
    lines: tuple[OrderLine, ...]
    interval: str
    currency: str
    trial_days: int = 0

    @property
    def total(self) -> int:
        """The sum in minor units."""
        return sum(line.amount for line in self.lines)

    @property
    def digest(self) -> str:
        """A name for exactly this order: its prices, quantities, amounts, currency and trial."""
        sold = [[line.offer.prices[self.interval].stripe_price_id, line.quantity, line.amount] for line in self.lines]
        whole = [self.interval, self.currency, sold, self.trial_days]
        return hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:32]

    @property
    def data(self) -> dict[str, Any]:
        """The order for scripts; amounts in minor units, `total` also as people write it."""
        lines = [
            {"name": line.offer.product.name, "quantity": line.quantity, "amount": line.amount} for line in self.lines
        ]
        return {
            "digest": self.digest, "interval": self.interval, "currency": self.currency, "lines": lines,
            "total": self.total, "total_text": format_money(self.total, self.currency),
        }  # fmt: skip

    @property
    def summary(self) -> OrderSummary:
        """The order as pages show it."""
        found = summarize(
            [_sold(line.offer.product, line.quantity, line.amount) for line in self.lines],
            interval=self.interval,
            currency=self.currency,
            terms=terms_of_sale(self.trial_days),
            now=clock.now(),
        )
        return replace(found, digest=self.digest)

    @property
    def basket(self) -> dict[str, int]:
        """The choice as charged: slug to quantity."""
        return {line.offer.product.slug: line.quantity for line in self.lines}


def _sold(product: Product, quantity: int, amount: int) -> Sold:
    return Sold(product.slug, product.name, quantity, amount, product.people * quantity)


def terms_of_sale(trial_days: int = 0) -> SaleTerms:
    """How we sell, from the settings, in the reader's language."""
    return SaleTerms(
        trial_days=trial_days,
        trial_card=settings.STRIPE_TRIAL_CARD,
        tax_note=languages.operators_text("TAX_NOTE"),
        taxed=settings.STRIPE_AUTOMATIC_TAX,
        language=languages.active(),
    )


def summarize_prices(prices: Iterable[tuple[ProductPrice, int]]) -> OrderSummary:
    """What these prices, each so many times, come to for somebody who comes back: never a trial."""
    found = list(prices)
    sold = [_sold(price.product, quantity, (price.unit_amount or 0) * quantity) for price, quantity in found]
    first = found[0][0]
    return summarize(sold, interval=first.interval, currency=first.currency, terms=terms_of_sale(), now=clock.now())


@dataclass(frozen=True)
class Shop:
    """Everything on offer, by placement, in one currency: that of the first plan."""

    plans: tuple[Offer, ...]
    general: tuple[Offer, ...]
    storage: tuple[Offer, ...]

    @property
    def intervals(self) -> list[str]:
        """The intervals any plan is sold at, monthly first."""
        return [name for name in INTERVALS if any(name in offer.prices for offer in self.plans)]

    @property
    def open(self) -> bool:
        """Whether there is room on any plan."""
        return any(not offer.full for offer in self.plans)

    @property
    def saves(self) -> bool:
        """Whether any plan is cheaper by the year."""
        return any(offer.saving for offer in self.plans)

    @property
    def saved_percent(self) -> int:
        """How much the plan that saves most by the year saves, in per cent."""
        return max((offer.saved_percent for offer in self.plans), default=0)

    @property
    def saves_alike(self) -> bool:
        """Whether every plan sold both ways saves that much."""
        return {offer.saved_percent for offer in self.plans if offer.month and offer.year} == {self.saved_percent}

    @property
    def extras(self) -> list[tuple[Offer, list[Offer]]]:
        """The general add-ons, each with the plans that include it."""
        return [(extra, [plan for plan in self.plans if extra.is_included_in(plan)]) for extra in self.general]

    def plan(self, slug: str) -> Offer | None:
        """The plan of that slug."""
        return next((offer for offer in self.plans if offer.product.slug == slug), None)

    def plan_in(self, basket: Mapping[str, int]) -> Offer | None:
        return next((offer for offer in self.plans if offer.product.slug in basket), None)

    def addons(self, kind: Iterable[Offer], *, plan: Offer | None, interval: str) -> list[Offer]:
        """Those of `kind` that can be bought with `plan` at `interval`."""
        return [offer for offer in kind if offer.fits(plan) and interval in offer.prices]

    def order(self, choice: Choice) -> Order | None:
        """The order of a choice; None unless its plan is sold at its interval.

        It omits what is no longer offered and caps quantities at the maximum, so that the page shows what is charged.
        """
        plan = self.plan_in(choice.basket)
        if plan is None or choice.interval not in plan.prices:
            return None
        addons = self.addons((*self.general, *self.storage), plan=plan, interval=choice.interval)
        chosen = [plan, *(offer for offer in addons if offer.product.slug in choice.basket)]
        lines = tuple(self._line(offer, choice) for offer in chosen)
        return Order(plan, lines, choice.interval, plan.prices[choice.interval].currency)

    def signup_order(self, signup: Signup) -> Order | None:
        """The order of a signup, which may be free at first."""
        found = self.order(signup)
        return replace(found, trial_days=checkout_attempt.trial_days_of(signup.profile)) if found else None

    def _line(self, offer: Offer, choice: Choice) -> OrderLine:
        quantity = min(choice.basket[offer.product.slug], offer.product.max_quantity)
        return OrderLine(offer, quantity, offer.prices[choice.interval].unit_amount * quantity)

    @classmethod
    def load(cls, buyer: UserProfile | None = None, *, currency: str = "", held: Collection[int | None] = ()) -> Self:
        """The shop as it is now. A product that `buyer` has a seat on, reserved or not, is never full for them.

        `currency`: what they pay in already. `held`: ids of products they pay for, which are not full for them either.
        """
        products = list(
            Product.objects.filter(is_active=True, placement__in=[PLAN, GENERAL, STORAGE])
            .select_related("parent")
            .prefetch_related("prices", "includes")
        )
        needed = {app.pk: app for product in products for app in product.seats()}
        rooms = capacity.have_room(list(needed.values())) | dict.fromkeys(capacity.products_with_seat(buyer), True)
        currency = currency or _currency(products)
        offers = [
            Offer(
                product,
                {
                    price.interval: price
                    for price in product.prices.all()
                    if price.is_active and price.currency == currency
                },
                full=product.pk not in held and not all(rooms[app.pk] for app in product.seats()),
            )
            for product in products
        ]
        sold = [offer for offer in offers if offer.prices]
        return cls(
            *(
                tuple(offer for offer in sold if offer.product.placement == placement)
                for placement in (PLAN, GENERAL, STORAGE)
            )
        )


def _currency(products: Iterable[Product]) -> str:
    """The currency of the first plan's oldest active price; an order has only one."""
    plans = (product for product in products if product.placement == PLAN)
    prices = (sorted(plan.prices.all(), key=lambda price: price.pk) for plan in plans)
    return next((price.currency for row in prices for price in row if price.is_active), "")


def choose_plan(
    shop: Shop, choice: Choice, *, interval: str, slug: str, addons: Iterable[str], people: str = ""
) -> None:
    """Put a plan for `people`, its interval and general add-ons into a choice's basket; BadInput names the field.

    Storage add-ons chosen earlier stay if they fit the plan.
    """
    if interval not in shop.intervals:
        raise BadInput(_("Please choose monthly or yearly."), field="interval")
    plan = shop.plan(slug)
    if plan is None:
        raise BadInput(_("Please choose a plan."), field="plan", code="required")
    if interval not in plan.prices:
        told = _("{plan} is only sold yearly.") if interval == "month" else _("{plan} is only sold monthly.")
        raise BadInput(told.format(plan=plan.product.name), field="plan")
    if plan.full:
        raise BadInput(
            _("{product} is full right now. You can join its waitlist.").format(product=plan.product.name),
            field="plan",
            code="full",
        )
    included = {extra.product.slug for extra in shop.general if extra.is_included_in(plan)}
    wanted = set(addons) - included  # nobody pays extra for what the plan includes
    extras = {slug: _addon(shop, slug, plan=plan, interval=interval) for slug in sorted(wanted)}
    kept = {
        offer.product.slug: choice.basket[offer.product.slug]
        for offer in shop.addons(shop.storage, plan=plan, interval=interval)
        if offer.product.slug in choice.basket
    }
    quantity = order_people.read_quantity(plan.product, people, before=choice.basket.get(slug, 1))
    choice.interval = interval
    choice.basket = {plan.product.slug: quantity} | dict.fromkeys(extras, 1) | kept


def _addon(shop: Shop, slug: str, *, plan: Offer, interval: str) -> Offer:
    """A general add-on that can be bought with `plan` now."""
    offer = next((offer for offer in shop.general if offer.product.slug == slug), None)
    if offer is None or interval not in offer.prices:
        raise BadInput(_("One of these add-ons is no longer available. Please choose again."), field="addons")
    if not offer.fits(plan):
        raise BadInput(_only_with(offer.product), field="addons")
    if offer.full:
        raise BadInput(
            _("{product} is full right now. You can join its waitlist.").format(product=offer.product.name),
            field="addons",
            code="full",
        )
    return offer


def _only_with(addon: Product) -> str:
    if addon.parent is None:
        return _("{addon} is only available with another plan.").format(addon=addon.name)
    return _("{addon} is only available with {plan}.").format(addon=addon.name, plan=addon.parent.name)


def choose_storage(shop: Shop, choice: Choice, *, quantities: Mapping[str, str]) -> None:
    """Put storage add-ons into the basket; `quantities` is slug -> digits as typed. BadInput names the field by its slug."""
    plan = shop.plan_in(choice.basket)
    offers = shop.addons(shop.storage, plan=plan, interval=choice.interval)
    chosen = {}
    for offer in offers:
        slug, most = offer.product.slug, offer.product.max_quantity
        typed = quantities.get(slug, "").strip() or "0"
        if not (typed.isascii() and typed.isdigit() and len(typed) <= 5 and int(typed) <= most):
            raise BadInput(_("Please enter a whole number from 0 to {most}.").format(most=most), field=slug)
        if int(typed):
            chosen[slug] = int(typed)
    storage = {offer.product.slug for offer in shop.storage}
    rest = {slug: quantity for slug, quantity in choice.basket.items() if slug not in storage}
    choice.basket = rest | chosen
