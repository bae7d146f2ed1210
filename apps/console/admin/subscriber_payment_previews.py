"""What a dialog about money shows before it is done: Stripe's own preview, and the access that would follow. Changes nothing.

Loaded beside the dialog, again for each choice that is made in it; when Stripe is away it says so, and the dialog stays usable.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render

from apps.access.policy import SubscriptionFact
from apps.access.what_if import WhatIf, decide_what_if
from apps.accounts.models import UserProfile
from apps.billing import overview, payment_previews
from apps.billing.models import Subscription
from apps.billing.subscriptions import end_if_canceled
from apps.core import clock
from apps.core.dates import day
from apps.core.errors import BadInput, WorkError
from apps.core.money import decimals, format_money
from apps.core.states import SubscriptionStatus

NO_CARD = "nothing: there is no card, and the trial ends"


@dataclass(frozen=True)
class PaymentPreview:
    """`facts`: what Stripe says, each with its name; `then`: access as it is and as it would be."""

    facts: tuple[tuple[str, str], ...]
    then: WhatIf


class PaymentPreviewView:
    """The fragment, for the subscriber's ModelAdmin."""

    def payment_preview_view(self, request: HttpRequest, profile: UserProfile) -> HttpResponse:
        """What would follow from `?action=`; without one there is nothing to show."""
        wanted = request.GET.get("action", "")
        if wanted and wanted not in PREVIEWS:
            raise Http404
        found: dict[str, Any] = {}
        try:
            found = {"preview": PREVIEWS[wanted](profile, request.GET)} if wanted else {}
        except WorkError as error:
            found = {"problem": error.reason}
        except BadInput as error:
            found = {"problem": error.message}
        return render(request, "console/payment_preview.html", found)


def _refund(profile: UserProfile, chosen: QueryDict) -> PaymentPreview:
    charge_id = _first_part(chosen, "payment")
    known = {one.id: one for one in overview.list_refundable(profile.stripe_customer_id or "")}
    if charge_id not in known:
        raise BadInput("Choose a payment of which something is left.")
    typed = chosen.get("amount", "").strip()
    amount = _minor(typed, known[charge_id].currency) if typed else None
    found = payment_previews.preview_refund(profile, charge_id, amount)

    def returned(one: SubscriptionFact) -> SubscriptionFact:
        return replace(one, money_returned=found.returned.get(one.id, one.money_returned))

    facts = (
        ("Goes back", format_money(found.amount, found.currency)),
        ("Stays of this payment", format_money(found.left, found.currency)),
    )
    return PaymentPreview(facts, decide_what_if(profile, returned))


def _minor(typed: str, currency: str) -> int:
    try:
        amount = Decimal(typed).scaleb(decimals(currency))
    except InvalidOperation:
        amount = Decimal(0)
    if not amount.is_finite() or amount != int(amount) or not 0 < amount < 10**15:
        raise BadInput("Write the amount as a number, such as 4.50.")
    return int(amount)


def _retry_payment(profile: UserProfile, chosen: QueryDict) -> PaymentPreview:
    customer, wanted = profile.stripe_customer_id or "", _first_part(chosen, "invoice")
    invoice = next((one for one in overview.list_open_invoices(customer) if one.id == wanted), None)
    if invoice is None:
        raise BadInput("Choose an invoice that is open.")
    card = overview.read_card(customer)
    facts = (
        ("To be collected", format_money(invoice.owed, invoice.currency)),
        ("From", card.name if card else "no card is saved: it will fail"),
        ("If it is declined", "nothing changes, and the attempt counts"),
    )

    def paid(one: SubscriptionFact) -> SubscriptionFact:
        late = one.status.owes
        return (
            replace(one, status=SubscriptionStatus.ACTIVE, past_due_since=None, next_attempt_at=None) if late else one
        )

    return PaymentPreview(facts, decide_what_if(profile, paid))


def _cancel_at_period_end(profile: UserProfile, chosen: QueryDict) -> PaymentPreview:
    row = _subscription(profile, chosen)
    ends = end_if_canceled(row)
    facts = (("Ends on", day(ends)), ("Would have been charged", _next_invoice(row)))
    return PaymentPreview(facts, decide_what_if(profile, _changed(row, cancel_at=ends)))


def _undo_cancellation(profile: UserProfile, chosen: QueryDict) -> PaymentPreview:
    row = _subscription(profile, chosen)
    next_one = NO_CARD if row.after_trial else _describe(payment_previews.preview_going_on(row.stripe_id))
    facts = (("Would have ended on", day(row.cancel_at)), ("Is charged", next_one))
    return PaymentPreview(facts, decide_what_if(profile, _changed(row, cancel_at=None)))


def _cancel_now(profile: UserProfile, chosen: QueryDict) -> PaymentPreview:
    row = _subscription(profile, chosen)
    currency = next((one.currency for one in overview.lines_of(row)), "")
    facts = (
        ("Paid for this period", format_money(row.paid_for_period, currency)),
        ("Given back by this", "nothing"),
        ("Would have been charged", "nothing" if row.cancel_at else _next_invoice(row)),
    )
    changed = _changed(row, status=SubscriptionStatus.CANCELED, ended_at=clock.now())
    return PaymentPreview(facts, decide_what_if(profile, changed))


def _pause_payments(profile: UserProfile, chosen: QueryDict) -> PaymentPreview:
    row = _subscription(profile, chosen)
    facts = (("Next invoice", "none: it is to end" if row.cancel_at else _next_invoice(row)),)
    return PaymentPreview(facts, decide_what_if(profile, _changed(row, paused=True)))


def _resume_payments(profile: UserProfile, chosen: QueryDict) -> PaymentPreview:
    row = _subscription(profile, chosen)
    facts = (("Is charged", "nothing: it is to end" if row.cancel_at else _next_invoice(row)),)
    return PaymentPreview(facts, decide_what_if(profile, _changed(row, paused=False, paused_until=None)))


def _first_part(chosen: QueryDict, name: str) -> str:
    return chosen.get(name, "").partition(":")[0]


def _subscription(profile: UserProfile, chosen: QueryDict) -> Subscription:
    rows = overview.list_running(profile.stripe_customer_id or "")
    wanted = _first_part(chosen, "subscription")
    found = next((row for row in rows if row.stripe_id == wanted), None)
    if found is None:
        raise BadInput("Choose a subscription that runs.")
    return found


def _next_invoice(row: Subscription) -> str:
    """What Stripe says it would charge next, and when; of a trial it says so without a card too."""
    return NO_CARD if row.after_trial else _describe(payment_previews.preview_next_invoice(row.stripe_id))


def _describe(found: payment_previews.NextInvoice | None) -> str:
    return f"{found.money} on {day(found.at)}" if found else "nothing"


def _changed(row: Subscription, **facts: Any) -> Callable[[SubscriptionFact], SubscriptionFact]:
    return lambda one: replace(one, **facts) if one.id == row.stripe_id else one


PREVIEWS: dict[str, Callable[[UserProfile, QueryDict], PaymentPreview]] = {
    "refund": _refund,
    "retry_payment": _retry_payment,
    "cancel_at_period_end": _cancel_at_period_end,
    "undo_cancellation": _undo_cancellation,
    "cancel_now": _cancel_now,
    "pause_payments": _pause_payments,
    "resume_payments": _resume_payments,
}
