"""Stripe's objects as dj-stripe mirrors them, for pages that show them. Only billing imports dj-stripe."""

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, DecimalField, F, Func, QuerySet, Sum, Value
from django.db.models.fields.json import KT, KeyTextTransform
from django.db.models.functions import Coalesce
from djstripe.models import Charge, Customer, Dispute, Invoice, PaymentMethod, Price, Product, Refund, Subscription

from apps.billing.parsing import identify, moment, plain, text, whole
from apps.core.dates import day
from apps.core.money import format_money

MIRRORED: tuple[type, ...] = (Customer, Subscription, Invoice, Charge, Refund, Dispute, PaymentMethod, Product, Price)


@dataclass(frozen=True)
class MoneyObject:
    """An invoice, charge, refund or dispute: its row, amount in minor units, status and what it says about itself.

    `left`: what can be given back of a payment. `is_owed`: an invoice that can be collected. `at_stripe`: the kind and id of what
    Stripe's dashboard has a page of.
    """

    row: Any
    kind: str
    created: dt.datetime
    amount: int | None
    currency: str
    status: str
    details: tuple[str, ...]
    left: int = 0
    is_owed: bool = False
    at_stripe: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class InvoiceCopy:
    """An invoice as its buyer needs it: `paid` in minor units, `pdf`: Stripe's address of the file, empty where there is none."""

    id: str
    number: str
    paid: int | None
    currency: str
    paid_at: dt.datetime | None
    pdf: str


def first_invoices(customer_id: str, subscription_ids: Collection[str]) -> dict[str, InvoiceCopy]:
    """By subscription the invoice that it began with, from the mirror; nothing of one while there is no copy. One query."""
    rows = Invoice.objects.filter(customer_id=customer_id)
    rows = rows.annotate(of=KT("stripe_data__parent__subscription_details__subscription"))
    first = rows.filter(of__in=subscription_ids).order_by("of", "created", "id").distinct("of")
    return {of: _copy(data) for of, data in first.values_list("of", "stripe_data")}


def _copy(data: dict[str, Any]) -> InvoiceCopy:
    return InvoiceCopy(
        id=identify(data),
        number=text(data.get("number"), 60),
        paid=whole(data.get("amount_paid")),
        currency=text(data.get("currency"), 16),
        paid_at=moment(plain(data.get("status_transitions")).get("paid_at")),
        pdf=text(data.get("invoice_pdf"), 2000),
    )


def list_money(customer_id: str, *, limit: int) -> list[MoneyObject]:
    """What happened to the money of a customer, the latest first; at most `limit` of each kind. Four queries."""
    found: list[MoneyObject] = []
    for rows, kind, amount in money_rows(customer_id):
        latest = rows.only("id", "created", "livemode", "stripe_data").order_by("-created", "-id")
        found += [_money_object(row, kind, amount) for row in latest[:limit]]
    return sorted(found, key=lambda one: (one.created, one.kind), reverse=True)


def refunded_amount(refund_id: str) -> str:
    """How much a refund gave back, as people write it; empty while there is no copy of it."""
    data = Refund.objects.filter(id=refund_id).values_list("stripe_data", flat=True).first() or {}
    amount, currency = data.get("amount"), data.get("currency")
    return format_money(amount, currency) if isinstance(amount, int) and isinstance(currency, str) else ""


def money_rows(customer_id: str) -> list[tuple[QuerySet[Any], str, str]]:
    """The same as rows of the mirror, each with its kind and where its amount is."""
    return [
        (Invoice.objects.filter(customer_id=customer_id), "Invoice", "amount_due"),
        (Charge.objects.filter(customer_id=customer_id), "Payment", "amount"),
        (Refund.objects.filter(charge__customer_id=customer_id), "Refund", "amount"),
        (Dispute.objects.filter(charge__customer_id=customer_id), "Dispute", "amount"),
    ]


def _money_object(row: Any, kind: str, amount: str) -> MoneyObject:
    data = row.stripe_data or {}
    status, currency = str(data.get("status") or ""), str(data.get("currency") or "")
    value = whole(data.get(amount))
    is_payment = kind == "Payment" and status == "succeeded"
    return MoneyObject(
        row=row,
        kind=kind,
        created=row.created,
        amount=value,
        currency=currency,
        status=status,
        details=tuple(one[:120] for one in DETAILS[kind](data) if one),
        left=(value or 0) - (whole(data.get("amount_refunded")) or 0) if is_payment else 0,
        is_owed=kind == "Invoice" and status in {"open", "uncollectible"},
        at_stripe=("payment", identify(data.get("charge"))) if kind == "Refund" else (kind.lower(), str(row.id)),
    )


def _invoice_details(data: dict[str, Any]) -> Iterator[str]:
    attempts, at = whole(data.get("attempt_count")) or 0, moment(data.get("next_payment_attempt"))
    yield text(data.get("number"), 60)
    yield f"tried {attempts} {'time' if attempts == 1 else 'times'}" if attempts else ""
    yield f"next attempt on {day(at)}" if at and data.get("status") == "open" else ""


def _payment_details(data: dict[str, Any]) -> Iterator[str]:
    returned = whole(data.get("amount_refunded")) or 0
    yield text(data.get("failure_message"))
    yield f"{format_money(returned, text(data.get('currency'), 16))} given back" if returned else ""
    yield "disputed" if data.get("disputed") else ""


def _refund_details(data: dict[str, Any]) -> Iterator[str]:
    yield f"of {identify(data.get('charge'))}" if data.get("charge") else ""
    yield text(data.get("reason"), 60).replace("_", " ")


def _dispute_details(data: dict[str, Any]) -> Iterator[str]:
    due = moment(plain(data.get("evidence_details")).get("due_by"))
    yield f"of {identify(data.get('charge'))}" if data.get("charge") else ""
    yield text(data.get("reason"), 60).replace("_", " ")
    yield f"answer until {day(due)}" if due and "needs_response" in str(data.get("status")) else ""


DETAILS: dict[str, Callable[[dict[str, Any]], Iterator[str]]] = {
    "Invoice": _invoice_details,
    "Payment": _payment_details,
    "Refund": _refund_details,
    "Dispute": _dispute_details,
}


def customers_of(rows: Iterable[Any]) -> dict[str, str]:
    """Whose each object is, by its id; a refund's and a dispute's payment knows. At most one query."""
    found, payments = dict[str, str](), dict[str, str]()
    for row in rows:
        data = row.stripe_data or {}
        if customer := str(row.id) if isinstance(row, Customer) else identify(data.get("customer")):
            found[row.id] = customer
        elif payment := identify(data.get("charge")):
            payments[row.id] = payment
    if payments:
        known = dict(Charge.objects.filter(id__in=payments.values()).values_list("id", "customer_id"))
        found |= {one: known[payment] for one, payment in payments.items() if known.get(payment)}
    return found


def open_invoices(invoices: QuerySet[Any]) -> QuerySet[Any]:
    """Those of these invoices that are finished and not paid; by an index of their own."""
    found: QuerySet[Any] = invoices.filter(stripe_data__status="open")
    return found


def sum_open_invoices(*, most: int) -> QuerySet[Any]:
    """What open invoices still ask for, by currency: `currency_code`, `amount` in minor units, `count`; of at most `most` of them."""
    some = open_invoices(Invoice.objects.all()).order_by().values("pk")[:most]
    paid = Coalesce(_number("amount_paid"), Value(0, output_field=DecimalField()))
    asked = Coalesce(_number("amount_remaining"), _number("amount_due") - paid)
    rows = (
        Invoice.objects.filter(pk__in=some).order_by().values(currency_code=KeyTextTransform("currency", "stripe_data"))
    )
    found: QuerySet[Any] = rows.annotate(amount=Sum(asked), count=Count("pk"))
    return found


def _number(name: str) -> Func:
    """SQL: a number of the object; null where there is none."""
    return Func(
        F("stripe_data"), Value(f"$.{name} ? (@ >= 0)"), template="jsonb_path_query_first(%(expressions)s::jsonpath)::numeric",
        output_field=DecimalField(),
    )  # fmt: skip
