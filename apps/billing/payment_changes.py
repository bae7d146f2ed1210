"""What staff and subscribers change at Stripe: refund, take credit back, cancel, pay an open invoice again, pause. The next fetch writes what came of it.

Promises: one change of a customer at a time; right before it, what was seen is compared with what Stripe says, and when it has
changed nothing is done; a form that is sent twice is one change, by the key it was opened with; what Stripe refuses is said in
plain words; when nobody knows whether it was done, that is said, and it is not repeated with another key. Who asks and why is
in the audit trail before the call, what came of it after; no fact is written here. Refusals are worded for staff; their codes are
`busy` (somebody else is at work, or Stripe is asked too much: later it may work), `declined`, `refused` by Stripe, or `changed`.
"""

import datetime as dt
from typing import Any

import stripe
from django.conf import settings
from django.utils.translation import gettext_noop

from apps.billing.change_requests import (
    ChangeRequest,
    DoneAlready,
    carry_out,
    check_subscription,
    expect_own,
    of_subscription,
    update_subscription,
)
from apps.billing.parsing import STAFF_COMMENT, identify, listed, parse_subscription, plain, text, whole
from apps.billing.payment_previews import going_on
from apps.core import audit
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput, RetryLater
from apps.core.money import decimals, format_money

MARK = "frontdesk_change"  # in a refund's metadata: the key of the dialog that asked for it
FEEDBACK = {
    "too_expensive": gettext_noop("It costs too much"),
    "missing_features": gettext_noop("Something is missing"),
    "switched_service": gettext_noop("I'm moving to another service"),
    "unused": gettext_noop("I don't use it enough"),
    "too_complex": gettext_noop("It's too complicated"),
    "low_quality": gettext_noop("It doesn't work well enough"),
    "customer_service": gettext_noop("I wasn't happy with the help I got"),
    "other": gettext_noop("Another reason"),
}  # Stripe's words for why somebody leaves, docs.stripe.com/api/subscriptions/object
CHANGED = "Close this dialog and look at the page again: it is being fetched from Stripe."


def refund(asked: ChangeRequest, *, charge_id: str, amount: int, seen: int, why: str) -> bool:
    """Give `amount` of a payment back; False when this dialog has done so before.

    `seen`: how much of it had been given back when staff opened the dialog.
    """

    def check(client: stripe.StripeClient) -> dict[str, Any]:
        found = expect_own(asked, client.v1.charges.retrieve(charge_id, {"expand": ["refunds"]}))
        if any(plain(one.get("metadata")).get(MARK) == asked.key for one in listed(found.get("refunds"))):
            raise DoneAlready
        returned, currency = whole(found.get("amount_refunded")) or 0, text(found.get("currency"), 16)
        if returned != seen:
            said = f"{format_money(returned, currency)} of this payment has been given back, not {format_money(seen, currency)} as you saw."
            raise BadInput(f"{said} {CHANGED}")
        left = (whole(found.get("amount")) or 0) - returned
        if not 0 < amount <= left:
            raise BadInput(f"{format_money(left, currency)} is left of this payment.", field="amount")
        return {"returned": format_money(returned, currency), "left": format_money(left, currency)}

    wish: Any = {"charge": charge_id, "amount": amount, "reason": why, "metadata": {MARK: asked.key}}
    return carry_out(
        asked, AuditAction.PAYMENT_REFUNDED, charge_id, check, lambda client, options: client.v1.refunds.create(wish, options),
        of_refund,
    )  # fmt: skip


def list_transactions(client: stripe.StripeClient, customer: str, currency: str) -> list[dict[str, Any]]:
    """All that was ever added to or taken from a customer's credit balance in this currency, the newest first.

    Stripe keeps a balance for each currency, and lists all of them together.
    """
    found = client.v1.customers.balance_transactions.list(customer, {"limit": 100}).auto_paging_iter()
    return [one for one in map(plain, found) if text(one.get("currency"), 16) == currency]


def take_credit(asked: ChangeRequest, *, amount: int, currency: str, seen: int) -> bool:
    """Take so much off the customer's credit; False when this request has done so before. `seen`: the credit that was there."""

    def check(client: stripe.StripeClient) -> dict[str, Any]:
        found = list_transactions(client, asked.customer, currency)
        if any(plain(one.get("metadata")).get(MARK) == asked.key for one in found):
            raise DoneAlready
        left = -(whole(found[0].get("ending_balance")) or 0) if found else 0
        if left != seen:
            raise RetryLater("The customer's credit has changed since it was read.")
        return {"credit": format_money(left, currency)}

    def describe(found: dict[str, Any]) -> dict[str, Any]:
        return {"credit": format_money(-(whole(found.get("ending_balance")) or 0), currency)}

    wish: Any = {
        "amount": amount,
        "currency": currency,
        "description": "Withdrawn from the contract",
        "metadata": {MARK: asked.key},
    }
    return carry_out(
        asked, AuditAction.CREDIT_TAKEN_BACK, asked.customer, check,
        lambda client, options: client.v1.customers.balance_transactions.create(asked.customer, wish, options), describe,
    )  # fmt: skip


def retry_payment(asked: ChangeRequest, *, invoice_id: str, seen: int) -> None:
    """Try to collect an open invoice now. `seen`: how often that had been tried when staff opened the dialog."""

    def check(client: stripe.StripeClient) -> dict[str, Any]:
        found = expect_own(asked, client.v1.invoices.retrieve(invoice_id))
        status, attempts = text(found.get("status"), 40), whole(found.get("attempt_count")) or 0
        if status not in {"open", "uncollectible"}:
            raise BadInput(
                {"paid": "This invoice has been paid already."}.get(status, "Nobody owes this invoice any more.")
            )
        if attempts != seen:
            raise BadInput(f"It was tried {attempts} times by now, not {seen} times as you saw. {CHANGED}")
        return {"status": status, "attempts": attempts}

    def call(client: stripe.StripeClient, options: Any) -> Any:
        return client.v1.invoices.pay(invoice_id, {}, options)

    carry_out(asked, AuditAction.PAYMENT_RETRIED, invoice_id, check, call, of_invoice)


def cancel_now(asked: ChangeRequest, *, subscription_id: str) -> None:
    """End a subscription at once; nothing is given back by that."""

    def call(client: stripe.StripeClient, options: Any) -> Any:
        try:
            wish: Any = {"prorate": False, "invoice_now": False, **_signed(asked)}
            return client.v1.subscriptions.cancel(subscription_id, wish, options)
        except stripe.InvalidRequestError:
            # An answer that was lost: the SDK asked again, and Stripe does not know one that has ended by that address.
            found = client.v1.subscriptions.retrieve(subscription_id)
            if parse_subscription(found).status.ended:
                return found
            raise

    action = AuditAction.SUBSCRIPTION_CANCELED
    carry_out(
        asked, action, subscription_id, check_subscription(asked, subscription_id, _running), call, of_subscription
    )


def cancel_at_period_end(asked: ChangeRequest, *, subscription_id: str, feedback: str = "") -> None:
    """End a subscription when what was paid for is over. `feedback`: one of `FEEDBACK`, if the subscriber says why.

    A subscriber who sends the form twice has canceled; staff are told that it is to end already.
    """

    def refuse(found: dict[str, Any]) -> str:
        if asked.actor == audit.CUSTOMER and parse_subscription(found).leaves_at:
            raise DoneAlready
        return _goes_on(found)

    wish = {"cancel_at_period_end": True, **_signed(asked, feedback)}
    update_subscription(asked, AuditAction.CANCELLATION_SCHEDULED, subscription_id, wish, refuse)


def undo_cancellation(asked: ChangeRequest, *, subscription_id: str) -> None:
    """Let a subscription go on that was to end: by the flag, or by a date of its own. Sent twice by a subscriber, it is undone."""

    def refuse(found: dict[str, Any]) -> str:
        if asked.actor == audit.CUSTOMER and not _running(found) and not parse_subscription(found).leaves_at:
            raise DoneAlready
        return _ends(found)

    update_subscription(asked, AuditAction.CANCELLATION_UNDONE, subscription_id, going_on, refuse)


def pause_collection(asked: ChangeRequest, *, subscription_id: str, until: dt.datetime | None, behavior: str) -> None:
    """Collect nothing for a subscription until a date, or until it is resumed."""
    ends = {"resumes_at": int(until.timestamp())} if until else {}
    wish = {"pause_collection": {"behavior": behavior, **ends}}
    update_subscription(asked, AuditAction.PAUSE_REQUESTED, subscription_id, wish, _collects)


def resume_collection(asked: ChangeRequest, *, subscription_id: str) -> None:
    """Collect payments again."""
    update_subscription(asked, AuditAction.RESUME_REQUESTED, subscription_id, {"pause_collection": ""}, _is_paused)


def largest_refund(currency: str) -> int:
    """What those who may refund may give back at once, in minor units; a currency without decimals counts in hundreds."""
    return int(settings.STAFF_REFUND_LIMIT * 10 ** (decimals(currency) or 2))


def _signed(asked: ChangeRequest, feedback: str = "") -> dict[str, Any]:
    """What Stripe keeps of why somebody leaves, so that reports can tell what staff did from the subscriber's own."""
    if asked.actor != audit.CUSTOMER:
        return {"cancellation_details": {"comment": STAFF_COMMENT}}
    return {"cancellation_details": {"feedback": feedback}} if feedback else {}


# --- what has to be so before -----------------------------------------------------------------------------------------


def _running(found: dict[str, Any]) -> str:
    return "" if parse_subscription(found).status.may_charge else "This subscription has ended already."


def _goes_on(found: dict[str, Any]) -> str:
    return _running(found) or ("It is to end already." if parse_subscription(found).leaves_at else "")


def _ends(found: dict[str, Any]) -> str:
    return _running(found) or (
        "" if parse_subscription(found).leaves_at else "It is not to end: there is nothing to undo."
    )


def _collects(found: dict[str, Any]) -> str:
    return _running(found) or ("Its payments are paused already." if parse_subscription(found).pause else "")


def _is_paused(found: dict[str, Any]) -> str:
    return _running(found) or ("" if parse_subscription(found).pause else "Its payments are not paused.")


# --- what the audit trail keeps ---------------------------------------------------------------------------------------


def of_refund(found: dict[str, Any]) -> dict[str, Any]:
    """How much went back, and whether it has arrived."""
    amount = format_money(whole(found.get("amount")), text(found.get("currency"), 16))
    return {"refund": identify(found), "amount": amount, "status": text(found.get("status"), 40)}


def of_invoice(found: dict[str, Any]) -> dict[str, Any]:
    """Whether it is paid, and how often that was tried."""
    return {"status": text(found.get("status"), 40), "attempts": whole(found.get("attempt_count"))}
