"""A subscriber's own invoices: the list from dj-stripe's mirror, and the way to one of them at Stripe, whose links expire."""

import datetime as dt
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from djstripe.models import Invoice

from apps.billing.parsing import identify, moment, plain, text, whole
from apps.billing.stripe_client import MissingAtStripe, calling_stripe
from apps.core.errors import BadInput

MOST = 120  # ten years of monthly invoices
KEPT = ("status", "number", "total", "currency", "amount_remaining", "amount_due", "amount_paid", "due_date")
GONE = gettext_noop("Our payment partner doesn't have this invoice any more. Please write to us if you need it.")


class InvoiceDocument(StrEnum):
    """What Stripe shows of an invoice: the page on which it can be paid, or the file to keep."""

    PAGE = "page"
    PDF = "pdf"


@dataclass(frozen=True)
class OwnInvoice:
    """One invoice; `total` in minor units, below 0 where it is a credit. `status` is Stripe's word, drafts left out."""

    id: str
    number: str
    at: dt.datetime
    total: int | None
    owed: int
    currency: str
    status: str
    due_at: dt.datetime | None

    @property
    def is_open(self) -> bool:
        """Whether it can be paid."""
        return self.status in {"open", "uncollectible"} and self.owed > 0

    @property
    def is_credit(self) -> bool:
        """Whether it gives something back, which later invoices are reduced by."""
        return (self.total or 0) < 0


def list_own(customer_id: str) -> list[OwnInvoice]:
    """The newest `MOST` invoices, the newest first. One query."""
    if not customer_id:
        return []
    rows = Invoice.objects.filter(customer_id=customer_id).exclude(stripe_data__status="draft")
    names = [f"stripe_data__{name}" for name in KEPT]
    found = rows.order_by("-created", "-id").values_list("id", "created", *names)[:MOST]
    return [_invoice(row[0], row[1], dict(zip(KEPT, row[2:], strict=True))) for row in found]


def _invoice(invoice_id: str, at: dt.datetime, data: dict[str, Any]) -> OwnInvoice:
    return OwnInvoice(
        id=invoice_id,
        number=text(data["number"], 60),
        at=at,
        total=whole(data["total"]),
        owed=owed(data),
        currency=text(data["currency"], 16),
        status=text(data["status"], 40),
        due_at=moment(data["due_date"]),
    )


def owed(data: dict[str, Any]) -> int:
    """What is still to be paid; of an old invoice the mirror keeps only what it asked for and what was paid."""
    left = whole(data.get("amount_remaining"))
    if left is None:
        left = (whole(data.get("amount_due")) or 0) - (whole(data.get("amount_paid")) or 0)
    return max(left, 0)


def expect_own(customer_id: str, invoice_id: str) -> None:
    """Raise BadInput unless the mirror knows it as an invoice of this customer. One query."""
    is_id = re.fullmatch(r"[A-Za-z0-9_]{1,255}", invoice_id)
    if not customer_id or not is_id or not Invoice.objects.filter(id=invoice_id, customer_id=customer_id).exists():
        raise BadInput(_("You don't have such an invoice."), status=404)


def fetch_link(customer_id: str, invoice_id: str, document: InvoiceDocument) -> str:
    """Where Stripe shows this invoice of the customer now: one call. Raises BadInput, and the errors of calling_stripe."""
    try:
        with calling_stripe() as client:
            found = plain(client.v1.invoices.retrieve(invoice_id))
    except MissingAtStripe:
        raise BadInput(_(GONE), status=404) from None
    link = text(found.get("invoice_pdf" if document is InvoiceDocument.PDF else "hosted_invoice_url"), 2000)
    if identify(found.get("customer")) != customer_id or not link.startswith(("https://", "http://")):
        raise BadInput(_(GONE), status=404)
    return link
