"""The Billing tab of the subscriber's page: what is paid, what comes next, what is owed, and every invoice, payment, refund and dispute.

From our rows and the mirror: nothing here asks Stripe.
"""

from typing import Any

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.accounts.models import UserProfile
from apps.billing import coupons, overview
from apps.billing.models import Discount, Subscription
from apps.billing.stripe_objects import MoneyObject, list_money, money_rows
from apps.billing.subscriptions import SubscriptionState
from apps.console.admin.mirror import stripe_badge
from apps.console.columns import dialog_link, link, state_badge
from apps.console.outside import stripe_link
from apps.console.report_coupons import describe_terms
from apps.console.tables import May, Table
from apps.core import clock
from apps.core.dates import day
from apps.core.money import format_money
from apps.core.states import Tone

ROWS = 20
DISPUTED = {"open": ("Payment disputed", Tone.WARN), "lost": ("Dispute lost", Tone.BAD)}


def describe_flags(states: tuple[SubscriptionState, ...]) -> list[tuple[str, Tone]]:
    """What about somebody's money staff must know before anything else: disputes, and what went back of the present period."""
    found = {DISPUTED[one["status"]] for state in states for one in state.disputes if one["status"] in DISPUTED}
    for state in states:
        returned = (state.paid_for_period or 0) - (state.left_of_period or 0)
        if state.money_returned == "refunded":
            found.add(("Refunded", Tone.WARN))
        elif state.left_of_period is not None and returned > 0 and state.money_returned != "dispute_lost":
            found.add(("Partly refunded", Tone.CALM))
    return sorted(found)


def sources(profile: UserProfile) -> list[QuerySet[Any]]:
    """The rows that the tab counts."""
    return [rows for rows, *_ in money_rows(profile.stripe_customer_id or "")]


def read_billing(profile: UserProfile, may: May) -> Table:
    """The tab."""
    customer = profile.stripe_customer_id
    if not customer:
        return Table((), (), "No customer at Stripe yet: nothing has been paid or owed.")
    running = overview.list_running(customer)
    found = list_money(customer, limit=ROWS)
    return Table(
        ("What", "Status", "Amount", "Date", "Details", ""),
        tuple(_row(one, profile, may) for one in found),
        "No invoices, payments, refunds or disputes yet.",
        facts=tuple(_facts(profile, customer, running)),
        actions=tuple(_actions(profile, running, may)),
    )


def _facts(profile: UserProfile, customer: str, running: list[Subscription]) -> list[tuple[str, Any]]:
    """What is said above the list, each in a line."""
    facts: list[tuple[str, Any]] = [("Customer", stripe_link("customer", customer))]
    for row in running:
        facts += [("Plan", _plan(row)), ("Next charge", _next_charge(row))]
    if not running:
        facts.append(("Plan", "No subscription runs."))
    card = overview.read_card(customer)
    facts.append(
        (
            "Card",
            f"{card.name}, expires {card.expires}"
            if card and card.expires
            else card.name
            if card
            else "No card is saved.",
        )
    )
    facts.append(("Owed", _owed(customer)))
    off = [format_money(amount, currency) for amount, currency in overview.read_discounts(customer)]
    facts.append(("Discounts", f"{', '.join(off)} off the last invoice" if off else "none"))
    if used := coupons.list_in_use(profile):
        facts.append(("Coupons", format_html_join(SafeString("<br>"), "{}", ((_coupon(one),) for one in used))))
    facts.append(("Paid in total", _totals(customer)))
    return facts


def _coupon(use: Discount) -> str:
    """A coupon they use, what it takes off, and until when."""
    if use.coupon is None:
        return "one that Stripe does not name"
    until = f", until {day(use.ends_at)}" if use.ends_at else ""
    return f"{use.coupon}: {describe_terms(use.coupon)}{until}"


def _plan(row: Subscription) -> SafeString:
    status, there = state_badge(row, "status"), stripe_link("subscription", row.stripe_id)
    return format_html("{} {} {}", overview.describe_subscription(row), status, there)


def _next_charge(row: Subscription) -> str:
    """When what is taken next, or why nothing is."""
    if row.cancel_at:
        return f"none: it ends on {day(row.cancel_at)}"
    if row.after_trial:
        return f"none without a card: the trial ends on {day(row.trial_end)}"
    if row.pause and (row.pause_ends_at is None or row.pause_ends_at > clock.now()):
        return f"none while payments are paused{f', until {day(row.pause_ends_at)}' if row.pause_ends_at else ''}"
    due = row.trial_end if row.status == "trialing" else row.current_period_end
    amount = "amount not known" if row.next_charge is None else format_money(row.next_charge, row.next_charge_currency)
    tax = (
        f", including {format_money(row.next_charge_tax, row.next_charge_currency)} tax" if row.next_charge_tax else ""
    )
    return f"{amount} on {day(due)}{tax}" if due else f"{amount}{tax}"


def _owed(customer: str) -> SafeString | str:
    found = overview.list_open_invoices(customer)
    lines = [
        (
            format_money(one.owed, one.currency),
            stripe_link("invoice", one.id, text=one.number or one.id),
            f"tried {one.attempts} {'time' if one.attempts == 1 else 'times'}",
            f", next on {day(one.next_attempt_at)}" if one.next_attempt_at else ", not tried again by itself",
        )
        for one in found
    ]
    return format_html_join(SafeString("<br>"), "{}, {}, {}{}", lines) if lines else "nothing"


def _totals(customer: str) -> str:
    found = [
        format_money(one.kept, one.currency)
        + (f" ({format_money(one.returned, one.currency)} went back)" if one.returned else "")
        for one in overview.read_totals(customer)
    ]
    return ", ".join(found) or "nothing"


def _row(one: MoneyObject, profile: UserProfile, may: May) -> tuple[Any, ...]:
    return (
        link(one.row, f"{one.kind} {one.row.id}"),
        stripe_badge(one.status),
        format_money(one.amount, one.currency),
        day(one.created),
        "; ".join(one.details) or "–",
        _links(one, profile, may),
    )


def _links(one: MoneyObject, profile: UserProfile, may: May) -> SafeString:
    """What can be done with it: here, and at Stripe."""
    links = []
    if one.left and may("refund_payment"):
        links.append(_dialog(profile, "refund", f"payment={one.row.id}", "refund", f"refund {one.row.id}"))
    if one.is_owed and may("retry_payment"):
        links.append(_dialog(profile, "retry_payment", f"invoice={one.row.id}", "collect", f"collect {one.row.id}"))
    kind, identifier = one.at_stripe
    links.append(stripe_link(kind, identifier, live=bool(one.row.livemode), text="Stripe"))
    return format_html('<span class="fd-links">{}</span>', format_html_join(" ", "{}", ((each,) for each in links)))


def _dialog(profile: UserProfile, action: str, query: str, text: str, label: str) -> SafeString:
    url = reverse(f"admin:accounts_userprofile_{action}", args=[profile.pk])
    return dialog_link(f"{url}?{query}" if query else url, text, label)


def _actions(profile: UserProfile, running: list[Subscription], may: May) -> list[SafeString]:
    """What can be done with the subscriptions that run."""
    wanted = [
        (
            "cancel_at_period_end",
            "schedule_cancellation",
            any(not row.cancel_at for row in running),
            "Cancel at period end",
        ),
        ("undo_cancellation", "schedule_cancellation", any(row.cancel_at for row in running), "Undo cancellation"),
        ("pause_payments", "pause_collection", any(not row.pause for row in running), "Pause payments"),
        ("resume_payments", "pause_collection", any(row.pause for row in running), "Resume payments"),
        ("cancel_now", "cancel_subscription", bool(running), "Cancel now"),
    ]
    return [_dialog(profile, action, "", text, text) for action, right, fits, text in wanted if fits and may(right)]
