"""The rights that our key at Stripe needs: what each is for, and how the doctor finds out whether the key has it.

Promises: the tables name every right that a call of ours needs (a test reads them from the code). Asking changes nothing: a right
to write is tried on an object that cannot exist. Stripe checks the key's rights first: 404 to a key that may, 403 to one that
may not. docs.stripe.com/keys#limit-access
"""

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import stripe
from django.conf import settings

from apps.billing.stripe_client import MissingRight, calling_stripe
from apps.core.errors import DependencyDown, RetryLater, WorkError
from apps.core.findings import Finding, Severity

type Call = Callable[[stripe.StripeClient], Any]
ONE: Any = {"limit": 1}
NOTHING: Any = {}  # a product without a name is not made
READS: dict[str, Call] = {
    "subscriptions": lambda client: client.v1.subscriptions.list(ONE),
    "subscription items": lambda client: client.v1.subscription_items.list({"subscription": _nobody("sub_")}),
    "customers": lambda client: client.v1.customers.list(ONE),
    "checkout sessions": lambda client: client.v1.checkout.sessions.list(ONE),
    "invoices": lambda client: client.v1.invoices.list(ONE),
    "prices": lambda client: client.v1.prices.list(ONE),
    "products": lambda client: client.v1.products.list(ONE),
    "events": lambda client: client.v1.events.list(ONE),
    "charges": lambda client: client.v1.charges.list(ONE),
    "refunds": lambda client: client.v1.refunds.list(ONE),
    "disputes": lambda client: client.v1.disputes.list(ONE),
    "invoice payments": lambda client: client.v1.invoice_payments.list(ONE),
    "payment intents": lambda client: client.v1.payment_intents.list(ONE),
    "payment methods": lambda client: client.v1.payment_methods.list(ONE),
    "credit notes": lambda client: client.v1.credit_notes.list(ONE),
}
WRITES: dict[str, Call] = {
    "customers": lambda client: client.v1.customers.update(_nobody("cus_")),
    "checkout sessions": lambda client: client.v1.checkout.sessions.expire(_nobody("cs_test_")),
    "portal sessions": lambda client: client.v1.billing_portal.sessions.create({"customer": _nobody("cus_")}),
    "subscriptions": lambda client: client.v1.subscriptions.resume(_nobody("sub_")),
    "invoices": lambda client: client.v1.invoices.pay(_nobody("in_")),
    "refunds": lambda client: client.v1.refunds.create({"charge": _nobody("ch_")}),
}
# Without these no customer loses anything; what then cannot be done is said.
MINOR_READS: dict[str, Call] = {
    "coupons": lambda client: client.v1.coupons.list(ONE),
    "promotion codes": lambda client: client.v1.promotion_codes.list(ONE),
    "webhook endpoints": lambda client: client.v1.webhook_endpoints.list(ONE),
    "portal configurations": lambda client: client.v1.billing_portal.configurations.list(ONE),
    "tax settings": lambda client: client.v1.tax.settings.retrieve(),
    "tax registrations": lambda client: client.v1.tax.registrations.list(ONE),
}
MINOR_WRITES: dict[str, Call] = {
    "products": lambda client: client.v1.products.create(NOTHING),
    "prices": lambda client: client.v1.prices.update(_nobody("price_")),
}
ONLY_WITH = {"promotion codes": "STRIPE_PROMOTION_CODES", "tax registrations": "STRIPE_AUTOMATIC_TAX"}
NEEDED = "Without it customers cannot pay, or access no longer follows payment."
WHY = {
    ("read", "coupons"): "Without it nobody sees who uses which coupon, and what each gave off.",
    ("read", "promotion codes"): "Without it the doctor cannot say whether anybody can have a promotion code.",
    ("read", "webhook endpoints"): "Without it the doctor cannot check where Stripe sends its events.",
    ("read", "portal configurations"): "Without it the doctor cannot check the customer portal.",
    ("read", "tax settings"): "Without it the doctor cannot check Stripe Tax.",
    ("read", "tax registrations"): "Without it the doctor cannot check where tax is collected.",
    ("write", "invoices"): "Without it nobody sees what a change of plan costs, and staff cannot collect a payment in the console.",
    ("write", "products"): "Without it staff can make products only in Stripe's dashboard.",
    ("write", "prices"): "Without it staff can make prices only in Stripe's dashboard.",
}  # fmt: skip


def list_rights() -> Iterator[tuple[str, str, Call, Severity]]:
    """Each right: read or write, what of, the call that tells, and how bad it is to lack it."""
    tables = (
        ("read", READS, Severity.ERROR), ("write", WRITES, Severity.ERROR), ("read", MINOR_READS, Severity.WARNING),
        ("write", MINOR_WRITES, Severity.WARNING),
    )  # fmt: skip
    for verb, table, severity in tables:
        for name, call in table.items():
            if not getattr(settings, ONLY_WITH.get(name, ""), True):
                continue
            is_minor = (verb, name) == ("write", "refunds") and not settings.WITHDRAWAL_DAYS
            yield verb, name, call, Severity.WARNING if is_minor else severity


def explain_right(verb: str, name: str) -> str:
    """What does not work without it."""
    if (verb, name) == ("write", "refunds"):
        who = "who withdraws from a contract does not get their money back, and " if settings.WITHDRAWAL_DAYS else ""
        return f"Without it {who}staff can refund only in Stripe's dashboard."
    return WHY.get((verb, name), NEEDED)


def check_rights() -> Iterator[Finding]:
    """A finding for each."""
    for verb, name, call, severity in list_rights():
        yield _check_right(verb, name, call, severity)


def ask(call: Call) -> Any:
    """What Stripe answers. Raises the errors of calling_stripe."""
    with calling_stripe() as client:
        return call(client)


def _nobody(prefix: str) -> str:
    """An id that no object has."""
    return f"{prefix}doctor{secrets.token_hex(12)}"


def _check_right(verb: str, name: str, call: Call, severity: Severity) -> Finding:
    id_ = f"stripe.right.{name.replace(' ', '_')}" + ("" if verb == "read" else ".write")
    try:
        ask(call)
    except MissingRight as error:
        said, why = f"The key may not {verb} {name}.", explain_right(verb, name)
        return Finding(id=id_, severity=severity, message=said, why=why, fix=error.reason)
    except (DependencyDown, RetryLater) as error:
        return Finding(
            id=id_, severity=Severity.SKIPPED, message=f"Not known whether the key may {verb} {name}.", fix=error.reason
        )
    except WorkError:  # what does not exist cannot be changed; the right to do so is there
        pass
    return Finding(id=id_, severity=Severity.PASSED, message=f"The key may {verb} {name}.")
