"""Trials without a card: how they will end, and one that is `paused` since; Stripe resumes it only when asked, once there is a card.

Promise: each card is tried once. Whether it worked is read from Stripe's own charges, so that nothing has to be remembered.
"""

from typing import Any

import stripe
import structlog

from apps.billing.ledger import Ledger
from apps.billing.parsing import identify, moment, plain, text

ENDINGS = {"cancel", "pause"}
log = structlog.get_logger(__name__)


def read_after_trial(subscription: Any, customer: Any) -> str:
    """What Stripe does when the trial ends as things stand, `cancel` or `pause`; empty where it charges, or no trial runs."""
    one = plain(subscription)
    if one.get("status") != "trialing" or _method(one, plain(customer)):
        return ""
    said = text(plain(plain(one.get("trial_settings")).get("end_behavior")).get("missing_payment_method"), 20)
    return said if said in ENDINGS else ""


def resume(client: stripe.StripeClient, customer: Any, found: list[Any], ledger: Ledger) -> bool:
    """Resume the paused subscriptions for which a card has come; whether there were any."""
    asked = False
    for one in found:
        method = _method(plain(one), plain(customer))
        if plain(one).get("status") == "paused" and method and not _was_tried(plain(one), method, ledger):
            _resume(client, identify(one), method)
            asked = True
    return asked


def _method(subscription: dict[str, Any], customer: dict[str, Any]) -> str:
    """What Stripe would charge: the subscription's own method, else the customer's."""
    settings = plain(customer.get("invoice_settings"))
    own = identify(subscription.get("default_payment_method")) or identify(subscription.get("default_source"))
    return own or identify(settings.get("default_payment_method")) or identify(customer.get("default_source"))


def _was_tried(subscription: dict[str, Any], method: str, ledger: Ledger) -> bool:
    """Whether an invoice to resume it is open, or this card was refused since the trial ended."""
    own = [one for one in ledger.invoices if one.subscription_id == identify(subscription)]
    ended = moment(subscription.get("trial_end"))
    refused = [each for one in own for each in one.charges if each.status == "failed" and each.method_id == method]
    return any(one.status == "open" for one in own) or any(ended is None or each.at >= ended for each in refused)


def _resume(client: stripe.StripeClient, subscription_id: str, method: str) -> None:
    key: Any = {"idempotency_key": f"resume:{subscription_id}:{method}"}
    try:
        client.v1.subscriptions.resume(subscription_id, {"billing_cycle_anchor": "now"}, key)
    except stripe.StripeError as error:  # it stays paused, and what decides about access is written all the same
        log.warning("resume_refused", subscription=subscription_id, error=type(error).__name__)
