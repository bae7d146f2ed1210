"""What staff do to a customer's money at Stripe: refund, cancel, pay an open invoice again, pause. The next fetch writes what came of it.

Promises: one change of a customer at a time; right before it, what staff saw is compared with what Stripe says, and when it has
changed nothing is done; a dialog that is sent twice is one change, by the key it was opened with; what Stripe refuses is said in
plain words; when nobody knows whether it was done, that is said, and it is never repeated with another key. Who asks and why is
in the audit trail before the call, what came of it after; no fact is written here.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import stripe
from django.conf import settings
from django.db import transaction

from apps.accounts.models import UserProfile
from apps.billing import mirror
from apps.billing.parsing import STAFF_COMMENT, identify, listed, moment, parse_subscription, plain, text, whole
from apps.billing.payment_previews import going_on
from apps.billing.stripe_client import calling_stripe
from apps.billing.stripe_refusals import describe_refusal
from apps.core import audit
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput, DependencyDown, RetryLater, WorkError
from apps.core.locks import LockClass, hold_if_free
from apps.core.money import decimals, format_money

MARK = "frontdesk_change"  # in a refund's metadata: the key of the dialog that asked for it
SIGNED = {"cancellation_details": {"comment": STAFF_COMMENT}}  # so that reports can tell it from the subscriber's own
AT_WORK = (
    "Somebody else is changing this customer's payments at this moment. Wait a minute, and look at the page again."
)
ANOTHERS = "This belongs to another customer."
CHANGED = "Close this dialog and look at the page again: it is being fetched from Stripe."

type Call = Callable[[stripe.StripeClient, Any], Any]
type Check = Callable[[stripe.StripeClient], dict[str, Any]]


@dataclass(frozen=True)
class StaffRequest:
    """Who asks for a change, of which customer, and why. `key`: made once for each dialog."""

    profile: UserProfile
    key: str
    actor: str
    reason: str

    @property
    def customer(self) -> str:
        if not self.profile.stripe_customer_id:
            raise BadInput("This subscriber has no customer at Stripe.")
        return self.profile.stripe_customer_id


class OutcomeUnknown(WorkError):
    """Stripe was asked, and nobody knows whether it did it."""


class DoneAlready(Exception):
    """This very request was carried out before: the dialog was sent again."""


def refund(asked: StaffRequest, *, charge_id: str, amount: int, seen: int, why: str) -> bool:
    """Give `amount` of a payment back; False when this dialog has done so before.

    `seen`: how much of it had been given back when staff opened the dialog.
    """

    def check(client: stripe.StripeClient) -> dict[str, Any]:
        found = _own(asked, client.v1.charges.retrieve(charge_id, {"expand": ["refunds"]}))
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
    return _carry_out(
        asked, AuditAction.PAYMENT_REFUNDED, charge_id, check, lambda client, options: client.v1.refunds.create(wish, options),
        of_refund,
    )  # fmt: skip


def retry_payment(asked: StaffRequest, *, invoice_id: str, seen: int) -> None:
    """Try to collect an open invoice now. `seen`: how often that had been tried when staff opened the dialog."""

    def check(client: stripe.StripeClient) -> dict[str, Any]:
        found = _own(asked, client.v1.invoices.retrieve(invoice_id))
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

    _carry_out(asked, AuditAction.PAYMENT_RETRIED, invoice_id, check, call, of_invoice)


def cancel_now(asked: StaffRequest, *, subscription_id: str) -> None:
    """End a subscription at once; nothing is given back by that."""

    def call(client: stripe.StripeClient, options: Any) -> Any:
        try:
            wish: Any = {"prorate": False, "invoice_now": False, **SIGNED}
            return client.v1.subscriptions.cancel(subscription_id, wish, options)
        except stripe.InvalidRequestError:
            # An answer that was lost: the SDK asked again, and Stripe does not know one that has ended by that address.
            found = client.v1.subscriptions.retrieve(subscription_id)
            if parse_subscription(found).status.ended:
                return found
            raise

    action = AuditAction.SUBSCRIPTION_CANCELED
    _carry_out(
        asked, action, subscription_id, _check_subscription(asked, subscription_id, _running), call, of_subscription
    )


def cancel_at_period_end(asked: StaffRequest, *, subscription_id: str) -> None:
    """End a subscription when what was paid for is over."""
    wish = {"cancel_at_period_end": True, **SIGNED}
    _update(asked, AuditAction.CANCELLATION_SCHEDULED, subscription_id, wish, _goes_on)


def undo_cancellation(asked: StaffRequest, *, subscription_id: str) -> None:
    """Let a subscription go on that was to end: by the flag, or by a date of its own."""
    _update(asked, AuditAction.CANCELLATION_UNDONE, subscription_id, going_on, _ends)


def pause_collection(asked: StaffRequest, *, subscription_id: str, until: dt.datetime | None, behavior: str) -> None:
    """Collect nothing for a subscription until a date, or until it is resumed."""
    ends = {"resumes_at": int(until.timestamp())} if until else {}
    wish = {"pause_collection": {"behavior": behavior, **ends}}
    _update(asked, AuditAction.PAUSE_REQUESTED, subscription_id, wish, _collects)


def resume_collection(asked: StaffRequest, *, subscription_id: str) -> None:
    """Collect payments again."""
    _update(asked, AuditAction.RESUME_REQUESTED, subscription_id, {"pause_collection": ""}, _is_paused)


def largest_refund(currency: str) -> int:
    """What those who may refund may give back at once, in minor units; a currency without decimals counts in hundreds."""
    return int(settings.STAFF_REFUND_LIMIT * 10 ** (decimals(currency) or 2))


# --- what has to be so before -----------------------------------------------------------------------------------------


def _own(asked: StaffRequest, found: Any) -> dict[str, Any]:
    if identify(plain(found).get("customer")) != asked.customer:
        raise BadInput(ANOTHERS)
    return plain(found)


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


def _check_subscription(
    asked: StaffRequest,
    subscription_id: str,
    refuse: Callable[[dict[str, Any]], str],
    into: dict[str, Any] | None = None,
) -> Check:
    def check(client: stripe.StripeClient) -> dict[str, Any]:
        found = _own(asked, client.v1.subscriptions.retrieve(subscription_id))
        if refusal := refuse(found):
            raise BadInput(refusal)
        if into is not None:
            into.update(found)
        return of_subscription(found)

    return check


def _update(
    asked: StaffRequest, action: AuditAction, subscription_id: str, wish: Any, refuse: Callable[[dict[str, Any]], str]
) -> None:
    """`wish`: what is to be different, or a function of the subscription that says it."""
    found: dict[str, Any] = {}

    def call(client: stripe.StripeClient, options: Any) -> Any:
        return client.v1.subscriptions.update(subscription_id, wish(found) if callable(wish) else wish, options)

    _carry_out(
        asked,
        action,
        subscription_id,
        _check_subscription(asked, subscription_id, refuse, found),
        call,
        of_subscription,
    )


# --- what the audit trail keeps ---------------------------------------------------------------------------------------


def of_refund(found: dict[str, Any]) -> dict[str, Any]:
    """How much went back, and whether it has arrived."""
    amount = format_money(whole(found.get("amount")), text(found.get("currency"), 16))
    return {"refund": identify(found), "amount": amount, "status": text(found.get("status"), 40)}


def of_invoice(found: dict[str, Any]) -> dict[str, Any]:
    """Whether it is paid, and how often that was tried."""
    return {"status": text(found.get("status"), 40), "attempts": whole(found.get("attempt_count"))}


def of_subscription(found: dict[str, Any]) -> dict[str, Any]:
    """Its status, its end and its pause."""
    facts = parse_subscription(found)
    ends = facts.leaves_at or moment(found.get("ended_at"))
    return {
        "status": facts.stripe_status,
        "ends": ends.isoformat() if ends else None,
        "paused": facts.pause,
        "resumes": facts.pause_ends_at.isoformat() if facts.pause_ends_at else None,
    }


# --- carrying it out --------------------------------------------------------------------------------------------------


def _carry_out(
    asked: StaffRequest,
    action: AuditAction,
    target: str,
    check: Check,
    call: Call,
    describe: Callable[[dict[str, Any]], dict[str, Any]],
) -> bool:
    """One change, while nobody else changes this customer; False when it was made before.

    Raises BadInput, OutcomeUnknown and the errors of calling_stripe.
    """
    about = {"at_stripe": target}
    with hold_if_free(LockClass.PAYMENTS_OF_CUSTOMER, asked.customer) as held:
        if not held:
            raise BadInput(AT_WORK)
        try:
            before = about | _ask(check)
        except DoneAlready:
            return False
        except BadInput:
            mirror.mirror_later(asked.customer, reason=f"{asked.actor} saw an older state")
            raise
        _record(
            asked,
            AuditAction.PAYMENT_CHANGE_REQUESTED,
            after=about | {"change": action.label, f"key{audit.FINGERPRINT}": asked.key},
        )
        _between_check_and_call()
        try:
            made = plain(_ask_once(lambda client: call(client, {"idempotency_key": f"staff:{asked.key}"})))
        except (BadInput, WorkError) as problem:
            why = problem.message if isinstance(problem, BadInput) else problem.reason
            _record_and_fetch(
                asked, AuditAction.PAYMENT_CHANGE_FAILED, after=about | {"change": action.label, "answer": why}
            )
            raise
        _record_and_fetch(asked, action, before=before, after=about | describe(made))
    return True


def _between_check_and_call() -> None:
    """Nothing; where a test of two at once stops the first."""


def _ask(call: Callable[[stripe.StripeClient], Any]) -> Any:
    """Stripe's answer. Raises BadInput for what it refuses, and the errors of calling_stripe."""
    with calling_stripe() as client:
        try:
            return call(client)
        except (stripe.CardError, stripe.InvalidRequestError, stripe.RateLimitError) as error:
            if sentence := describe_refusal(error):
                raise BadInput(sentence) from error
            raise


def _ask_once(call: Callable[[stripe.StripeClient], Any]) -> Any:
    """`_ask` for what changes something: without an answer it may have been done, or may be done yet."""
    try:
        return _ask(call)
    except (DependencyDown, RetryLater) as error:
        raise OutcomeUnknown(
            f"{error.reason} It is not known whether this was done. The customer is fetched from Stripe again: look at the page in a"
            " minute, and only then try again."
        ) from error


@transaction.atomic
def _record_and_fetch(
    asked: StaffRequest, action: AuditAction, *, after: dict[str, Any], before: dict[str, Any] | None = None
) -> None:
    _record(asked, action, after=after, before=before)
    mirror.mirror_later(asked.customer, reason=f"{action.label.lower()} by {asked.actor}")


def _record(
    asked: StaffRequest, action: AuditAction, *, after: dict[str, Any], before: dict[str, Any] | None = None
) -> None:
    audit.record(
        subject=asked.profile.subject, action=action, actor=asked.actor, reason=asked.reason, before=before, after=after
    )
