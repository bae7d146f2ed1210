"""A customer's money as pages show it: from our rows and dj-stripe's mirror, no call to Stripe."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.db.models import BigIntegerField, F, QuerySet, Sum
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce
from django.utils.translation import gettext as _
from djstripe.models import Charge, Customer, Dispute, Invoice, PaymentMethod
from djstripe.models import Subscription as MirroredSubscription

from apps.billing.models import Subscription, UserSubscriptionItem
from apps.billing.own_invoices import owed
from apps.billing.parsing import identify, moment, plain, text, whole
from apps.core.money import describe_period, format_money
from apps.core.states import SubscriptionStatus, values_where

ROWS = 50
MOST_FLAGGED = 10_000


@dataclass(frozen=True)
class PaidTotal:
    """What was paid through Stripe in one currency, and what of it went back by refunds and lost disputes."""

    currency: str
    paid: int
    returned: int

    @property
    def kept(self) -> int:
        return self.paid - self.returned


@dataclass(frozen=True)
class RefundablePayment:
    """A payment of which something is left to give back. `returned`: what has been given back of it."""

    id: str
    created: dt.datetime
    amount: int
    returned: int
    currency: str
    card: str

    @property
    def left(self) -> int:
        return self.amount - self.returned


@dataclass(frozen=True)
class OpenInvoice:
    """An invoice that is owed. `attempts`: how often Stripe has tried to collect it.

    `since`: when it was made out; `due_at`: until when one sent by email is to be paid; `url`: where it can be paid.
    """

    id: str
    number: str
    owed: int
    currency: str
    attempts: int
    next_attempt_at: dt.datetime | None
    since: dt.datetime | None
    due_at: dt.datetime | None
    url: str

    @property
    def money(self) -> str:
        """What is still to be paid of it, as people write it."""
        return format_money(self.owed, self.currency)


@dataclass(frozen=True)
class ChargedCard:
    """What the next payment is taken from: "Visa ending in 4242", and its last month."""

    id: str
    name: str
    expires: str


def read_card(customer_id: str) -> ChargedCard | None:
    """What Stripe charges: the subscription's own card, else the customer's. Three queries."""
    own = MirroredSubscription.objects.filter(
        customer_id=customer_id, stripe_data__status__in=[one.value for one in SubscriptionStatus if one.may_charge]
    ).values_list("stripe_data__default_payment_method", flat=True)
    shared = Customer.objects.filter(id=customer_id).values_list(
        "stripe_data__invoice_settings__default_payment_method", flat=True
    )
    chosen = next((found for one in (*own, *shared) if (found := identify(one))), "")
    method = PaymentMethod.objects.filter(id=chosen).values_list("stripe_data", flat=True).first() if chosen else None
    return _card(chosen, plain(method)) if method else None


def _card(method_id: str, method: dict[str, Any]) -> ChargedCard:
    card = plain(method.get("card"))
    if not card:
        return ChargedCard(method_id, text(method.get("type"), 40).replace("_", " ").capitalize(), "")
    expires = f"{whole(card.get('exp_month')) or 0:02}/{whole(card.get('exp_year')) or 0}"
    return ChargedCard(method_id, describe_card(card), expires)


def describe_card(card: dict[str, Any]) -> str:
    """A card as its owner knows it."""
    brand = text(card.get("brand"), 40).capitalize() or _("Card")
    return _("{card} ending in {digits}").format(card=brand, digits=text(card.get("last4"), 8) or "????")


def read_totals(customer_id: str) -> list[PaidTotal]:
    """What was paid through Stripe, ever, by currency. Two queries."""
    paid = Charge.objects.filter(customer_id=customer_id, stripe_data__status="succeeded")
    lost = Dispute.objects.filter(charge__customer_id=customer_id, stripe_data__status="lost")
    taken = dict(_sums(lost, "amount"))
    returned = dict(_sums(paid, "amount_refunded"))
    return [
        PaidTotal(currency, amount, returned.get(currency, 0) + taken.get(currency, 0))
        for currency, amount in _sums(paid, "amount")
    ]


def _sums(rows: QuerySet[Any], name: str) -> list[tuple[str, int]]:
    amount = Coalesce(Sum(Cast(KT(f"stripe_data__{name}"), BigIntegerField())), 0)
    found = rows.order_by().values(money=KT("stripe_data__currency")).annotate(total=amount)
    return [(str(one["money"] or ""), int(one["total"])) for one in found.order_by("money")]


def list_refundable(customer_id: str) -> list[RefundablePayment]:
    """Payments of which something is left, the newest first. One query."""
    rows = Charge.objects.filter(customer_id=customer_id, stripe_data__status="succeeded").order_by("-created", "-id")
    found = [_refundable(row) for row in rows.only("id", "created", "stripe_data")[:ROWS]]
    return [one for one in found if one.left > 0]


def _refundable(row: Any) -> RefundablePayment:
    data = plain(row.stripe_data)
    card = plain(plain(data.get("payment_method_details")).get("card"))
    return RefundablePayment(
        id=row.id,
        created=row.created,
        amount=whole(data.get("amount")) or 0,
        returned=whole(data.get("amount_refunded")) or 0,
        currency=text(data.get("currency"), 16),
        card=describe_card(card) if card else "",
    )


def list_open_invoices(customer_id: str) -> list[OpenInvoice]:
    """Invoices that are owed, the oldest first. One query."""
    rows = Invoice.objects.filter(customer_id=customer_id, stripe_data__status__in=["open", "uncollectible"])
    found = [plain(one) for one in rows.order_by("created", "id").values_list("stripe_data", flat=True)[:ROWS]]
    return [_open_invoice(one) for one in found]


def read_late_invoice(customer_id: str) -> OpenInvoice | None:
    """The invoice that a subscriber has to pay to go on: that of a late subscription, the oldest if there are several. One query."""
    late = Subscription.objects.filter(
        customer_id=customer_id, status__in=values_where(SubscriptionStatus, lambda one: one.is_late)
    )
    rows = Invoice.objects.filter(id__in=late.exclude(open_invoice_id="").values("open_invoice_id"))
    found = rows.filter(customer_id=customer_id).order_by("created", "id").values_list("stripe_data", flat=True).first()
    return _open_invoice(plain(found)) if found else None


def _open_invoice(one: dict[str, Any]) -> OpenInvoice:
    return OpenInvoice(
        id=identify(one),
        number=text(one.get("number"), 60),
        owed=owed(one),
        currency=text(one.get("currency"), 16),
        attempts=whole(one.get("attempt_count")) or 0,
        next_attempt_at=moment(one.get("next_payment_attempt")),
        since=moment(plain(one.get("status_transitions")).get("finalized_at")) or moment(one.get("created")),
        due_at=moment(one.get("due_date")),
        url=text(one.get("hosted_invoice_url"), 5000),
    )


def read_discounts(customer_id: str) -> list[tuple[int, str]]:
    """What the last invoice was made cheaper by: amounts and their currency. One query."""
    data = plain(
        Invoice.objects.filter(customer_id=customer_id)
        .order_by("-created", "-id")
        .values_list("stripe_data", flat=True)
        .first()
    )
    found = data.get("total_discount_amounts")
    return [
        (whole(plain(one).get("amount")) or 0, text(data.get("currency"), 16))
        for one in (found if isinstance(found, list) else [])
        if whole(plain(one).get("amount"))
    ]


def list_running(customer_id: str) -> list[Subscription]:
    """The subscriptions that Stripe goes on with, the oldest first, each with its lines. Two queries."""
    statuses = [one.value for one in SubscriptionStatus if one.may_charge]
    rows = Subscription.objects.filter(customer_id=customer_id, status__in=statuses).order_by("stripe_created_at", "pk")
    return list(rows.prefetch_related("items__product"))


def line_name(quantity: int, product: str | None, price_id: str) -> str:
    """A subscription line in words: 2 × Storage; one whose price is no product's has its id."""
    name = product or price_id
    return f"{quantity} × {name}" if quantity != 1 else name


def describe_subscription(row: Subscription) -> str:
    """What it is for and what it costs: `Personal for €5 / month, 2 × Storage for €3 / month`."""
    return ", ".join(map(_describe_line, lines_of(row))) or row.stripe_id


def _describe_line(line: UserSubscriptionItem) -> str:
    total = None if line.unit_amount is None else line.unit_amount * line.quantity
    name = line_name(line.quantity, line.product.name if line.product else None, line.stripe_price_id)
    return f"{name} for {format_money(total, line.currency)} / {describe_period(line.interval, line.interval_count)}"


def lines_of(row: Subscription) -> list[UserSubscriptionItem]:
    """Its lines, as `list_running` has read them."""
    return list(row.items.all())


def list_disputed(*, lost: bool) -> list[str]:
    """The customers of whose payments one is disputed, or was lost: at most MOST_FLAGGED, by an index of those few.

    Ids and no subquery: Postgres takes a third of all rows for them, and would read every subscriber.
    """
    wanted = [{"status": "lost" if lost else "open"}]
    return _customers(Subscription.objects.exclude(disputes=[]).filter(disputes__contains=wanted))


def list_money_returned() -> list[str]:
    """The customers to whom something of their current period went back; likewise."""
    return _customers(Subscription.objects.filter(left_of_period__lt=F("paid_for_period")))


def _customers(rows: QuerySet[Subscription]) -> list[str]:
    return list(rows.order_by().values_list("customer_id", flat=True)[:MOST_FLAGGED])
