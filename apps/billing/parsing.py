"""Stripe's JSON as typed facts. Pure: no database, no call.

Promise: nothing that Stripe may send raises here. A field that is absent, null, of another type or new to us becomes None,
empty or UNKNOWN; the writer of the facts decides what that means. Ids are text in any form: what an object is follows from
where it stands, never from the letters of its id (docs.stripe.com/upgrades: ids have up to 255 characters).
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from apps.core.money import describe_period
from apps.core.states import SubscriptionStatus

ID_LENGTH = 255
LARGEST = 2**63 - 1
# What our own staff's cancellations say at Stripe, which has no word for them; and how we call them.
STAFF_COMMENT, BY_STAFF = "Canceled by staff in Frontdesk.", "staff"


@dataclass(frozen=True)
class PriceFacts:
    """One Stripe price. `unit_amount`: None when there is no whole amount for one. `obstacle`: why it cannot be offered."""

    id: str
    product_id: str
    active: bool
    unit_amount: int | None
    currency: str
    interval: str
    interval_count: int
    obstacle: str = ""


@dataclass(frozen=True)
class LineFacts:
    """One line of a subscription, at its price in the subscription's currency."""

    id: str
    quantity: int
    price: PriceFacts
    current_period_end: dt.datetime | None
    options_missing: bool  # the amount is in a currency that Stripe shows only when asked for


@dataclass(frozen=True)
class SubscriptionFacts:
    """One Stripe subscription. `stripe_status` is Stripe's own word, also where `status` is UNKNOWN."""

    id: str
    customer_id: str
    status: SubscriptionStatus
    stripe_status: str
    created_at: dt.datetime | None
    trial_end: dt.datetime | None
    cancel_at: dt.datetime | None
    canceled_at: dt.datetime | None
    ended_at: dt.datetime | None
    leaves_at_period_end: bool
    pause: str  # what happens to invoices while their collection is paused; empty: it is not
    pause_ends_at: dt.datetime | None
    lines: tuple[LineFacts, ...]
    after_trial: str = ""  # what Stripe does at its end without a card; filled in where the customer's cards are known
    cancellation_reason: str = ""  # Stripe's word, or BY_STAFF
    cancellation_feedback: str = ""  # what the subscriber chose when asked why

    @property
    def current_period_end(self) -> dt.datetime | None:
        """Periods lie on the lines; the earliest end counts (docs.stripe.com/changelog/basil)."""
        return min((line.current_period_end for line in self.lines if line.current_period_end), default=None)

    @property
    def leaves_at(self) -> dt.datetime | None:
        """When it ends by a cancellation that is known already."""
        if self.status == SubscriptionStatus.CANCELED:
            return None
        return self.cancel_at or (self.current_period_end if self.leaves_at_period_end else None)


# --- single values ---------------------------------------------------------------------------------------------------


def plain(found: Any) -> dict[str, Any]:
    """A Stripe object as a plain dict; an empty one for anything else."""
    if hasattr(found, "to_dict"):
        found = found.to_dict()
    return dict(found) if isinstance(found, Mapping) else {}


def text(value: Any, length: int = ID_LENGTH) -> str:
    """Text that the database can hold; empty for anything else. Postgres refuses NUL and lone surrogates."""
    if not isinstance(value, str):
        return ""
    return value.replace("\0", "").encode("utf-8", "ignore").decode()[:length]


def identify(value: Any) -> str:
    """The id of an object, expanded or not; empty when there is none."""
    return text(value if isinstance(value, str) else plain(value).get("id"))


def whole(value: Any) -> int | None:
    """A whole number; None when it is absent, a fraction, or too large for the database."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        number = Decimal(str(value))
        return int(number) if number == number.to_integral_value() and abs(number) <= LARGEST else None
    except InvalidOperation:  # also NaN and infinity
        return None


def moment(value: Any) -> dt.datetime | None:
    """Stripe's Unix seconds as an aware datetime; None for null, absent, zero, or out of the calendar."""
    seconds = whole(value)
    try:
        return dt.datetime.fromtimestamp(seconds, tz=dt.UTC) if seconds else None
    except (OverflowError, OSError, ValueError):
        return None


def listed(value: Any) -> list[dict[str, Any]]:
    """The members of one of Stripe's lists, as plain dicts."""
    members = plain(value).get("data")
    return [plain(one) for one in members] if isinstance(members, list) else []


# --- prices ----------------------------------------------------------------------------------------------------------


def parse_price(found: Any) -> PriceFacts:
    """The facts of a price, or of an old plan that stands in its place."""
    one = plain(found)
    recurring = plain(one.get("recurring"))
    old = one if one.get("object") == "plan" else {}  # a plan has the fields of `recurring` itself
    amount = one.get("amount") if old else one.get("unit_amount")
    price = PriceFacts(
        id=text(one.get("id")),
        product_id=identify(one.get("product")),
        active=one.get("active") is not False,
        unit_amount=_single_amount(one, amount),
        currency=text(one.get("currency"), 16).lower(),
        interval=text((recurring or old).get("interval"), 20),
        interval_count=whole((recurring or old).get("interval_count")) or 1,
    )
    return replace(price, obstacle=_obstacle(price, one, recurring or old))


def _single_amount(one: Mapping[str, Any], amount: Any) -> int | None:
    """What one of it costs, in minor units; None where quantity or usage decides what one costs."""
    if one.get("billing_scheme", "per_unit") != "per_unit" or one.get("custom_unit_amount") or _divides(one):
        return None
    known = whole(amount)
    return known if known is not None and known >= 0 else None


def _divides(one: Mapping[str, Any]) -> bool:
    """Whether it is charged for packages of several (`transform_quantity`)."""
    return bool(one.get("transform_quantity") or one.get("transform_usage"))


def _obstacle(price: PriceFacts, one: Mapping[str, Any], recurring: Mapping[str, Any]) -> str:
    """Why a page could not say truly what this price costs, for staff; empty when it can be offered."""
    scheme, usage = one.get("billing_scheme", "per_unit"), recurring.get("usage_type", "licensed")
    obstacles = (
        (not price.id, "Stripe has no such price"),
        (one.get("deleted") is True, "it is deleted at Stripe"),
        (not price.interval, "it is charged once, not by subscription"),
        (scheme != "per_unit", "it is tiered" if scheme == "tiered" else f"its billing scheme is {text(scheme, 40)}"),
        (usage != "licensed", "it is metered" if usage == "metered" else f"its usage type is {text(usage, 40)}"),
        (bool(one.get("custom_unit_amount")), "customers choose its amount"),
        (_divides(one), "it is charged for packages, not for each"),
        (price.unit_amount is None, "its amount is not a whole number of the smallest unit"),
        (not price.currency, "it has no currency"),
        (price.interval_count != 1, f"it is charged every {describe_period(price.interval, price.interval_count)}"),
    )
    return next((sentence for applies, sentence in obstacles if applies), "")


def amount_in(found: Any, currency: str) -> int | None:
    """What one costs in another currency of the price; None when the price does not say."""
    one = plain(found)
    option = plain(plain(one.get("currency_options")).get(currency))
    if not option or option.get("tiers") or option.get("custom_unit_amount"):
        return None
    return _single_amount(one, option.get("unit_amount"))


# --- subscriptions ---------------------------------------------------------------------------------------------------


def parse_subscription(found: Any) -> SubscriptionFacts:
    """The facts of a subscription, as far as Stripe's answer says them."""
    one = plain(found)
    currency = text(one.get("currency"), 16).lower()
    pause, left = plain(one.get("pause_collection")), plain(one.get("cancellation_details"))
    return SubscriptionFacts(
        id=text(one.get("id")),
        customer_id=identify(one.get("customer")),
        status=SubscriptionStatus(text(one.get("status"), 100)),
        stripe_status=text(one.get("status"), 100),
        created_at=moment(one.get("created")),
        trial_end=moment(one.get("trial_end")),
        cancel_at=moment(one.get("cancel_at")),
        canceled_at=moment(one.get("canceled_at")),
        ended_at=moment(one.get("ended_at")),
        leaves_at_period_end=one.get("cancel_at_period_end") is True,
        pause=text(pause.get("behavior"), 40) or ("unknown" if pause else ""),
        pause_ends_at=moment(pause.get("resumes_at")),
        lines=tuple(_line(line, number, one, currency) for number, line in enumerate(listed(one.get("items")))),
        cancellation_reason=BY_STAFF if left.get("comment") == STAFF_COMMENT else text(left.get("reason"), 40),
        cancellation_feedback=text(left.get("feedback"), 40),
    )


def _line(line: Mapping[str, Any], number: int, subscription: Mapping[str, Any], currency: str) -> LineFacts:
    """A line; one that has lost its own period runs with its subscription."""
    sold = line.get("price") or line.get("plan")
    price = parse_price(sold) if not isinstance(sold, str) else parse_price({"id": sold})
    elsewhere = bool(currency and price.currency and currency != price.currency)
    if elsewhere:
        price = replace(price, unit_amount=amount_in(sold, currency), currency=currency)
    quantity = whole(line.get("quantity"))
    return LineFacts(
        id=text(line.get("id")) or f"{text(subscription.get('id'), 200)}#{number}",
        quantity=1 if quantity is None else max(0, quantity),
        price=price,
        current_period_end=moment(line.get("current_period_end")) or moment(subscription.get("current_period_end")),
        options_missing=elsewhere and "currency_options" not in plain(sold),
    )
