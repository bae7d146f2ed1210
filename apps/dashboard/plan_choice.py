"""What a subscriber has, what they choose instead, and what of it Stripe has to change.

A line whose product and interval stay keeps its price, also one that is no longer sold; a line of something that is not on offer
at all stays as it is. What may be chosen, and whether there is room, is the wizard's own rule (onboarding/basket.py).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from apps.accounts.models import UserProfile
from apps.billing import overview
from apps.billing.models import Subscription, UserSubscriptionItem
from apps.billing.plan_changes import CHANGEABLE, Items
from apps.catalog.models import Product
from apps.core.errors import BadInput
from apps.onboarding import basket, contracts
from apps.onboarding.basket import Order, Shop
from apps.onboarding.order_people import FIELD

STORAGE_GRANT = "storage_gb"
SAME = gettext_noop("That's what you have already. Choose something else, or go back.")
MIXED = gettext_noop(
    "Your subscription also has something that is billed at a different interval. Please write to us, and we'll change it for you."
)
UNCHANGED = "unchanged"  # the code of the refusal SAME


@dataclass
class PlanChoice:
    """A new plan with its interval and add-ons: slug to quantity."""

    interval: str
    basket: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CurrentPlan:
    """A subscriber's plan as our rows have it, and the shop in its currency. `has_ended_it`: they stated so, and Stripe may not know yet."""

    row: Subscription
    lines: list[UserSubscriptionItem]
    shop: Shop
    has_ended_it: bool = False

    @property
    def plan(self) -> UserSubscriptionItem | None:
        """The line of the plan, or the first one."""
        plans = (one for one in self.lines if one.product and one.product.placement == basket.PLAN)
        return next(plans, next(iter(self.lines), None))

    @property
    def sold(self) -> set[str]:
        """The slugs of what is on offer now."""
        return {one.product.slug for one in (*self.shop.plans, *self.shop.general, *self.shop.storage)}

    def may_change(self, product: Product) -> bool:
        """Whether a line of it is part of a choice: the plan always, other things while they are on offer."""
        return product.placement == basket.PLAN or product.slug in self.sold

    @property
    def choice(self) -> PlanChoice:
        """What they have, as far as it is on offer."""
        has = {one.product.slug: one.quantity for one in self.lines if one.product and one.product.slug in self.sold}
        return PlanChoice(self.plan.interval if self.plan else "", has)

    @property
    def obstacle(self) -> str:
        """Why it cannot be changed here now: ends, late, paused or special; empty: it can."""
        products = [one.product_id for one in self.lines]
        if self.row.cancel_at or self.has_ended_it:
            return "ends"
        if self.row.status not in CHANGEABLE:
            return "late"
        if self.row.pause:
            return "paused"
        is_plain = len({*products}) == len(products) and all(one.interval_count == 1 for one in self.lines)
        return "" if self.lines and is_plain and self.shop.plans else "special"


def read_current(profile: UserProfile) -> CurrentPlan | None:
    """The running subscription with the plan, else the first one; None without any."""
    rows = overview.list_running(profile.stripe_customer_id or "")
    if not rows:
        return None
    row = next((one for one in rows if _has_plan(one)), rows[0])
    lines = overview.lines_of(row)
    currency = lines[0].currency if lines else ""
    shop = Shop.load(profile, currency=currency, held={one.product_id for one in lines})
    return CurrentPlan(row, lines, shop, has_ended_it=row.stripe_id in contracts.find_pending(profile))


def _has_plan(row: Subscription) -> bool:
    return any(one.product and one.product.placement == basket.PLAN for one in overview.lines_of(row))


def read_choice(current: CurrentPlan, data: QueryDict) -> Order:
    """The order that a form asks for. Raises BadInput, with the field, for what is not sold or has no room."""
    choice = PlanChoice(current.choice.interval, dict(current.choice.basket))
    interval, slug = data.get("interval", ""), data.get("plan", "")
    basket.choose_plan(
        current.shop, choice, interval=interval, slug=slug, addons=data.getlist("addons"), people=data.get(FIELD, "")
    )
    basket.choose_storage(current.shop, choice, quantities={name: str(data[name]) for name in data})
    order = current.shop.order(choice)
    if order is None:
        raise BadInput(_("Please choose a plan."), field="plan", code="required")
    return order


def find_changes(current: CurrentPlan, order: Order) -> Items:
    """What Stripe has to change for that. Raises BadInput when that is nothing, or cannot be done here."""
    rest = {one.product_id: one for one in current.lines if one.product and current.may_change(one.product)}
    kept = [one for one in current.lines if one.product_id not in rest]
    if any(one.interval != order.interval for one in kept):
        raise BadInput(_(MIXED))
    before = next((one for one in rest.values() if one.product and one.product.placement == basket.PLAN), None)
    items: Items = []
    for wanted in order.lines:
        product = wanted.offer.product
        line = rest.pop(product.pk, None)
        if line is None and product.placement == basket.PLAN and before is not None:
            line = rest.pop(before.product_id)
        items += _change_of(line, product, wanted.offer.prices[order.interval].stripe_price_id, wanted.quantity, order)
    items += [{"id": one.stripe_item_id, "deleted": True} for one in rest.values()]
    if not items:
        raise BadInput(_(SAME), code=UNCHANGED)
    return items


def _change_of(line: UserSubscriptionItem | None, product: Product, price: str, quantity: int, order: Order) -> Items:
    if line is None:
        return [{"price": price, "quantity": quantity}]
    stays = line.product_id == product.pk and line.interval == order.interval
    if stays and line.quantity == quantity:
        return []
    kept = line.stripe_price_id if stays else price
    return [{"id": line.stripe_item_id, "price": kept, "quantity": quantity}]


@dataclass(frozen=True)
class PlanDifference:
    """What opens and closes, and the storage before and after; None where no product says how much it has."""

    opens: list[str]
    closes: list[str]
    storage_before: int | None
    storage_after: int | None


def compare(current: CurrentPlan, order: Order) -> PlanDifference:
    """What the change means for the subscriber. Two queries."""
    quantities = {one.product_id: one.quantity for one in current.lines if one.product_id}
    products = Product.objects.filter(pk__in=quantities).prefetch_related("includes")
    before = [(one, quantities[one.pk]) for one in products]
    offered = {one.offer.product.pk for one in order.lines}
    stays = [(one, count) for one, count in before if not current.may_change(one) and one.pk not in offered]
    after = [(one.offer.product, one.quantity) for one in order.lines] + stays
    had, has = _apps(before), _apps(after)
    return PlanDifference(
        opens=sorted(has - had),
        closes=sorted(had - has),
        storage_before=_storage(before),
        storage_after=_storage(after),
    )


def _apps(products: Iterable[tuple[Product, int]]) -> set[str]:
    return {app.name for product, _ in products for app in (product, *product.includes.all()) if app.is_app}


def _storage(products: Iterable[tuple[Product, int]]) -> int | None:
    """Of what is for several people each has the numbers of one."""
    found: list[Any] = [
        (product.grants.get(STORAGE_GRANT), 1 if product.people else count) for product, count in products
    ]
    sizes = [size * count for size, count in found if isinstance(size, int)]
    return sum(sizes) if sizes else None
