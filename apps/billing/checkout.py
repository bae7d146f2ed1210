"""Stripe Checkout: the session and its result. Every call is safe to repeat after a crash."""

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.conf import settings

from apps.billing.checkout_features import session_features, trial
from apps.billing.parsing import identify, plain, text, whole
from apps.billing.stripe_client import calling_stripe
from apps.core import clock
from apps.core.errors import NeedsOperator
from apps.core.states import SubscriptionStatus


@dataclass(frozen=True)
class CheckoutSession:
    """A Checkout session: `client_secret` for the embedded page, `url` for the hosted one; status open|complete|expired.

    `subtotal`: what is charged before taxes and discounts, in minor units; None where Stripe does not say.
    """

    id: str
    status: str
    payment_status: str
    client_secret: str
    url: str
    customer_id: str
    subscription_id: str = ""
    invoice_id: str = ""
    subtotal: int | None = None
    currency: str = ""

    @property
    def is_paid(self) -> bool:
        """Whether the money has arrived, or none was due; a bank debit is confirmed days later."""
        return self.payment_status in {"paid", "no_payment_required"}


class FirstPayment(StrEnum):
    """`late`: refused, but the subscription runs and will be collected again."""

    PENDING = "pending"
    PAID = "paid"
    REFUSED = "refused"
    LATE = "late"


@dataclass(frozen=True)
class CheckoutPages:
    """How the payment is shown, for how many days it is free at first, and the paths of ours to come back to."""

    embedded: bool
    trial_days: int = 0
    success: str = "/onboarding/success/"
    cancel: str = "/onboarding/cancel/"


def open_session(
    *,
    signup_id: str,
    number: int,
    customer_id: str,
    prices: list[tuple[str, int]],
    expires_at: dt.datetime,
    pages: CheckoutPages,
) -> CheckoutSession:
    """Open a subscription Checkout for `prices` = [(price id, quantity)]. `number` counts the sessions of this signup.

    docs.stripe.com/api/checkout/sessions/create; embedded pages take a
    return_url, hosted ones success and cancel URLs.
    """
    success = f"{settings.BASE_URL}{pages.success}?session_id={{CHECKOUT_SESSION_ID}}"
    params: Any = {
        "mode": "subscription",
        "customer": customer_id,
        "client_reference_id": signup_id,
        "line_items": [{"price": price, "quantity": quantity} for price, quantity in prices],
        "subscription_data": {"metadata": {"signup": signup_id}} | trial(pages.trial_days),
        "expires_at": int(expires_at.timestamp()),
    } | session_features(trial_days=pages.trial_days)
    if pages.embedded:
        params |= {"ui_mode": "embedded_page", "return_url": success}
    else:
        params |= {
            "ui_mode": "hosted_page",
            "success_url": success,
            "cancel_url": f"{settings.BASE_URL}{pages.cancel}",
        }
    with calling_stripe() as client:
        return _session(client.v1.checkout.sessions.create(params, {"idempotency_key": f"co:{signup_id}:{number}"}))


def has_running_subscription(customer_id: str) -> bool:
    """Whether the customer has a paid, running subscription at Stripe: a second one would be charged as well."""
    with calling_stripe() as client:
        listed = client.v1.subscriptions.list({"customer": customer_id, "status": "all", "limit": 100})
        return any(SubscriptionStatus(one["status"]).may_charge for one in listed.auto_paging_iter())


def fetch_session(session_id: str) -> CheckoutSession:
    """The session as it is now."""
    with calling_stripe() as client:
        return _session(client.v1.checkout.sessions.retrieve(session_id))


def expire_session(session_id: str) -> CheckoutSession:
    """Close an open session, so that it can no longer be paid; returns it as it is then, which may be complete."""
    found = fetch_session(session_id)
    if found.status != "open":
        return found
    try:
        with calling_stripe() as client:
            return _session(client.v1.checkout.sessions.expire(session_id))
    except NeedsOperator:  # it was paid or closed in this moment
        found = fetch_session(session_id)
        if found.status == "open":
            raise
        return found


def fetch_first_payment(session: CheckoutSession) -> FirstPayment:
    """What has become of the money of a completed, unpaid session; the session itself says "unpaid" for ever."""
    if not session.subscription_id:
        return FirstPayment.PENDING
    with calling_stripe() as client:
        subscription = plain(client.v1.subscriptions.retrieve(session.subscription_id))
        invoice_id = session.invoice_id or identify(subscription.get("latest_invoice"))
        invoice = plain(client.v1.invoices.retrieve(invoice_id)) if invoice_id else {}
        expand: Any = {"invoice": invoice_id, "expand": ["data.payment.payment_intent"]}
        payments = client.v1.invoice_payments.list(expand).data if invoice.get("status") == "open" else []
    if invoice.get("status") == "paid":
        return FirstPayment.PAID
    status = SubscriptionStatus(text(subscription.get("status")))
    tries = [plain(plain(plain(one).get("payment")).get("payment_intent")).get("status") for one in payments]
    failed = bool(tries) and set(tries) <= {"requires_payment_method", "canceled"}
    if not (status.ended or failed or invoice.get("status") in {"void", "uncollectible"}):
        return FirstPayment.PENDING
    return FirstPayment.LATE if status.pays else FirstPayment.REFUSED


def cancel_incomplete(session: CheckoutSession) -> None:
    """End the subscription of a first payment that failed, so that nobody pays for what was given back."""
    with calling_stripe() as client:
        subscription = client.v1.subscriptions.retrieve(session.subscription_id)
        if subscription["status"] == SubscriptionStatus.INCOMPLETE:
            client.v1.subscriptions.cancel(session.subscription_id)


def session_expiry() -> dt.datetime:
    """When a session opened now should end. Stripe wants at least 30 minutes, measured on its own clock."""
    return clock.now() + dt.timedelta(minutes=settings.CHECKOUT_SESSION_MINUTES, seconds=60)


def _session(found: Any) -> CheckoutSession:
    one = plain(found)
    return CheckoutSession(
        id=identify(one),
        status=text(one.get("status")),
        payment_status=text(one.get("payment_status")),
        client_secret=text(one.get("client_secret"), 2000),
        url=text(one.get("url"), 5000),
        customer_id=identify(one.get("customer")),
        subscription_id=identify(one.get("subscription")),
        invoice_id=identify(one.get("invoice")),
        subtotal=whole(one.get("amount_subtotal")),
        currency=text(one.get("currency"), 16).lower(),
    )
