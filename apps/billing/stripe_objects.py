"""Stripe's objects as dj-stripe mirrors them, for pages that show them. Only billing imports dj-stripe."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from djstripe.models import Charge, Customer, Dispute, Invoice, PaymentMethod, Price, Product, Refund, Subscription

from apps.core.money import format_money

MIRRORED: tuple[type, ...] = (Customer, Subscription, Invoice, Charge, Refund, Dispute, PaymentMethod, Product, Price)


@dataclass(frozen=True)
class MoneyObject:
    """An invoice, charge, refund or dispute: its row, amount in minor units, status and what it says about itself."""

    row: Any
    kind: str
    created: dt.datetime
    amount: int | None
    currency: str
    status: str
    about: str


def list_money(customer_id: str, *, limit: int) -> list[MoneyObject]:
    """What happened to the money of a customer, the latest first; at most `limit` of each kind. Four queries."""
    found: list[MoneyObject] = []
    for rows, kind, amount in money_rows(customer_id):
        latest = rows.only("id", "created", "stripe_data").order_by("-created", "-id")
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
    value = data.get(amount)
    about = next(
        (str(data[name]) for name in ("number", "failure_message", "reason", "description") if data.get(name)), ""
    )
    return MoneyObject(
        row=row,
        kind=kind,
        created=row.created,
        amount=value if isinstance(value, int) else None,
        currency=str(data.get("currency") or ""),
        status=str(data.get("status") or ""),
        about=about[:120],
    )
