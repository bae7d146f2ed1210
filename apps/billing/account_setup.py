"""What `manage.py setup` makes in the Stripe account: the webhook endpoint, and what the portal offers. It can be repeated.

docs.stripe.com/api/webhook_endpoints, docs.stripe.com/api/customer_portal/configurations
"""

from collections.abc import Iterator
from typing import Any

from django.conf import settings

from apps.billing.doctor import FLOWS, NEEDED_EVENTS, WEBHOOK_PATH
from apps.billing.stripe_client import MissingRight, calling_stripe
from apps.core.errors import WorkError
from apps.core.setup_steps import Outcome, Step

SECRET = "STRIPE_WEBHOOK_SECRET"  # noqa: S105  (a variable's name)
PORTAL_PAGE = "Settings, Billing, Customer portal"
# Changing plans there needs a list of prices, which staff choose: our own page for it needs none.
OFFERED = {name: {"enabled": True} for name in FLOWS if name != "subscription_update"} | {
    "customer_update": {"enabled": True, "allowed_updates": ["address", "tax_id"]}, "invoice_history": {"enabled": True},
}  # fmt: skip


def set_up(*, knows_secret: bool) -> Iterator[Step]:
    """Every step at Stripe. `knows_secret`: whether we have the signing secret of an endpoint that may be there."""
    try:
        yield _set_up_endpoint(knows_secret=knows_secret)
        yield _set_up_portal()
    except WorkError as error:
        yield Step(Outcome.FAILED, error.reason)


def _set_up_endpoint(*, knows_secret: bool) -> Step:
    url = f"{settings.BASE_URL}{WEBHOOK_PATH}"
    by_hand = (
        f"In Stripe's dashboard, Developers, Webhooks, add the destination {url} with API version {settings.STRIPE_API_VERSION} and"
        f" these events, and set its signing secret as {SECRET}: {', '.join(NEEDED_EVENTS)}."
    )
    try:
        with calling_stripe() as client:
            mine = [one for one in client.v1.webhook_endpoints.list({"limit": 100}).data if one.url == url]
            if not mine:
                return _create(client, url)
            return _correct(client, mine[0], knows_secret=knows_secret)
    except MissingRight as error:
        return Step(Outcome.TO_DO, f"{error.reason} Or by hand: {by_hand}")


def _create(client: Any, url: str) -> Step:
    made = client.v1.webhook_endpoints.create(
        {
            "url": url,
            "enabled_events": NEEDED_EVENTS,
            "api_version": settings.STRIPE_API_VERSION,
            "description": settings.BRAND["name"],
        }
    )
    return Step(Outcome.MADE, f"Stripe sends {len(NEEDED_EVENTS)} kinds of events to {url}.", {SECRET: made.secret})


def _correct(client: Any, endpoint: Any, *, knows_secret: bool) -> Step:
    """Let the endpoint that is there be enabled and have our events; Stripe changes neither its version nor shows its secret."""
    lacking = sorted(set(NEEDED_EVENTS) - set(endpoint.enabled_events)) if "*" not in endpoint.enabled_events else []
    changes: dict[str, Any] = {"enabled_events": sorted({*endpoint.enabled_events, *lacking})} if lacking else {}
    if endpoint.status != "enabled":
        changes["disabled"] = False
    if changes:
        client.v1.webhook_endpoints.update(endpoint.id, changes)
    if not knows_secret:
        said = (
            f"An endpoint for {endpoint.url} is there, and Stripe shows its signing secret only in the dashboard: set it as {SECRET}, or"
            " delete the endpoint and run this command again."
        )
        return Step(Outcome.TO_DO, said)
    if changes:
        return Step(Outcome.MADE, f"The endpoint for {endpoint.url} is enabled and has all events that we need.")
    return Step(
        Outcome.KEPT,
        f"The endpoint for {endpoint.url} has all events that we need; {SECRET} has to be its signing secret.",
    )


def _set_up_portal() -> Step:
    by_hand = f"In Stripe's dashboard, {PORTAL_PAGE}, allow customers to {', '.join(FLOWS.values())}, and save it."
    default: Any = {"is_default": True, "active": True}
    try:
        with calling_stripe() as client:
            found = client.v1.billing_portal.configurations.list(default).data
            if not found:  # one that is made by a call is never the default
                return Step(Outcome.TO_DO, by_hand)
            features = found[0].features.to_dict()
            lacking: Any = {name: wish for name, wish in OFFERED.items() if not features[name]["enabled"]}
            if not lacking:
                return Step(Outcome.KEPT, "The customer portal offers what our pages lead to.")
            client.v1.billing_portal.configurations.update(found[0].id, {"features": lacking})
            return Step(Outcome.MADE, "The customer portal now offers what our pages lead to.")
    except MissingRight as error:
        return Step(Outcome.TO_DO, f"{error.reason} Or by hand: {by_hand}")
