"""The Stripe part of the doctor: it changes nothing, and says what is missing before a customer meets it."""

from collections.abc import Callable, Iterator
from typing import Any

import stripe
from django.conf import settings

from apps.billing.events import CATALOG_EVENTS, CUSTOMER_EVENTS
from apps.billing.stripe_client import MissingRight, calling_stripe
from apps.catalog.models import ProductPrice
from apps.core import clock
from apps.core.errors import DependencyDown, RetryLater, WorkError
from apps.core.findings import Finding, Severity, judge

ONE: Any = {"limit": 1}
READS: dict[str, Callable[[stripe.StripeClient], Any]] = {
    "subscriptions": lambda client: client.v1.subscriptions.list(ONE),
    "customers": lambda client: client.v1.customers.list(ONE),
    "checkout sessions": lambda client: client.v1.checkout.sessions.list(ONE),
    "invoices": lambda client: client.v1.invoices.list(ONE),
    "prices": lambda client: client.v1.prices.list(ONE),
    "products": lambda client: client.v1.products.list(ONE),
    "events": lambda client: client.v1.events.list(ONE),
    "charges": lambda client: client.v1.charges.list(ONE),
    "refunds": lambda client: client.v1.refunds.list(ONE),
    "disputes": lambda client: client.v1.disputes.list(ONE),
}
# A right to write is asked for with something that cannot be carried out: 403 without the right, another refusal with it.
NOBODY = "doctor_asks_about_nobody"
WRITES: dict[str, Callable[[stripe.StripeClient], Any]] = {
    "customers": lambda client: client.v1.customers.update(f"cus_{NOBODY}", {}),
    "checkout sessions": lambda client: client.v1.checkout.sessions.expire(f"cs_{NOBODY}"),
    "portal sessions": lambda client: client.v1.billing_portal.sessions.create({"customer": f"cus_{NOBODY}"}),
    "subscriptions": lambda client: client.v1.subscriptions.resume(f"sub_{NOBODY}", {}),
}
UNDELIVERED: Any = {"delivery_success": False, "limit": 100}
LATE_SECONDS, RECENT_SECONDS = 1800, 86_400


def check_stripe() -> Iterator[Finding]:
    """The key's mode and rights, the endpoint, the portal, tax, and the prices we offer."""
    live = settings.STRIPE_LIVE_MODE
    yield judge(
        live or not settings.HTTPS, "stripe.mode", f"The key is a {'live' if live else 'test'} key.",
        "A test key serves a public site.", why="Nobody is really charged with a test key.", warn=True,
        fix="Set STRIPE_SECRET_KEY and STRIPE_PUBLISHABLE_KEY to live keys, and STRIPE_ALLOW_LIVE=true.",
    )  # fmt: skip
    try:
        with calling_stripe() as client:
            client.v1.customers.list(ONE)
    except (DependencyDown, RetryLater) as error:  # asking twenty times more would take minutes
        yield Finding(id="stripe.answer", severity=Severity.SKIPPED, message=error.reason, fix="Try again in a moment.")
        return
    except WorkError:
        pass  # said below, with the right's name
    for name, read in READS.items():
        yield _check_right("read", name, read)
    for name, write in WRITES.items():
        yield _check_right("write", name, write)
    yield from _check_answer(
        "stripe.endpoint", lambda client: client.v1.webhook_endpoints.list({"limit": 100}), check_endpoint
    )
    now = int(clock.timestamp())
    recent: Any = UNDELIVERED | {"created": {"gte": now - RECENT_SECONDS, "lte": now - LATE_SECONDS}}
    yield from _check_answer("stripe.deliveries", lambda client: client.v1.events.list(recent), check_deliveries)
    yield from _check_answer(
        "stripe.portal", lambda client: client.v1.billing_portal.configurations.list({"is_default": True}), check_portal
    )
    yield from _check_answer("stripe.tax", lambda client: client.v1.tax.settings.retrieve(), check_tax)
    for price in ProductPrice.objects.filter(is_active=True).exclude(stripe_price_id=""):
        yield from _check_price(price.stripe_price_id)


def _check_price(price_id: str) -> Iterator[Finding]:
    return _check_answer(f"stripe.price.{price_id}", lambda client: client.v1.prices.retrieve(price_id), check_price)


def _check_right(verb: str, name: str, call: Callable[[stripe.StripeClient], Any]) -> Finding:
    key = f"stripe.right.{name.replace(' ', '_')}" + ("" if verb == "read" else ".write")
    passed = Finding(id=key, severity=Severity.PASSED, message=f"The key may {verb} {name}.")
    try:
        with calling_stripe() as client:
            call(client)
    except WorkError as error:
        if verb == "write" and not isinstance(error, MissingRight):
            return passed  # there is no such object
        why = "Without it customers cannot pay, or access no longer follows payment."
        return Finding(
            id=key, severity=Severity.ERROR, message=f"Stripe does not let us {verb} {name}.", why=why, fix=error.reason
        )
    return passed


def _check_answer(
    key: str, read: Callable[[stripe.StripeClient], Any], check: Callable[[dict[str, Any]], Iterator[Finding]]
) -> Iterator[Finding]:
    """The findings about what Stripe answers; skipped when it does not let us read it."""
    try:
        with calling_stripe() as client:
            answer = read(client).to_dict()
    except WorkError as error:
        yield Finding(id=key, severity=Severity.SKIPPED, message="Stripe did not let us read this.", fix=error.reason)
        return
    yield from check(answer)


def check_endpoint(answer: dict[str, Any]) -> Iterator[Finding]:
    """An enabled endpoint at our address, with our version and all events that we need."""
    url = f"{settings.BASE_URL}/onboarding/webhook/"
    found = [one for one in answer["data"] if one["url"] == url]
    yield judge(
        bool(found), "stripe.endpoint.url", f"Stripe sends its events to {url}.", f"No endpoint at Stripe has the address {url}.",
        why="Payments then reach us a quarter of an hour late.", fix="Stripe's dashboard, Webhooks: add an endpoint with this address.",
    )  # fmt: skip
    for one in found[:1]:
        yield judge(
            one["status"] == "enabled", "stripe.endpoint.state", "The endpoint is enabled.", "The endpoint is disabled.",
            why="Stripe disables one that failed for days.", fix="Stripe's dashboard, Webhooks: enable it.",
        )  # fmt: skip
        version = one.get("api_version") or "the account's own version"
        yield judge(
            version == settings.STRIPE_API_VERSION, "stripe.endpoint.version", f"It speaks {version}.",
            f"It speaks {version}, we expect {settings.STRIPE_API_VERSION}.", warn=True,
            why="Events only tell us what to fetch, so nothing is lost, but their payload may name things otherwise.",
            fix=f"Make an endpoint with version {settings.STRIPE_API_VERSION} and delete this one.",
        )  # fmt: skip
        missing = [name for name in (*CUSTOMER_EVENTS, *CATALOG_EVENTS) if not _sends(one["enabled_events"], name)]
        yield judge(
            not missing, "stripe.endpoint.events", "It sends all events we need.", f"It does not send {', '.join(missing)}.",
            why="What it does not send we find by comparison, up to an hour late.", fix="Add these events to the endpoint.",
        )  # fmt: skip


def check_deliveries(answer: dict[str, Any]) -> Iterator[Finding]:
    """Events of the last day that no endpoint has accepted for half an hour."""
    found = [one for one in answer["data"] if str(one["type"]).startswith((*CUSTOMER_EVENTS, *CATALOG_EVENTS))]
    more = " or more" if answer.get("has_more") else ""
    yield judge(
        not found, "stripe.deliveries", "Stripe delivers its events.",
        f"{len(found)}{more} events of the last day were not delivered, the latest: {found[0]['id'] if found else ''}.", warn=True,
        why="They were fetched later by ourselves, so nothing is lost, but access came late.",
        fix="Stripe's dashboard, Webhooks: the endpoint's page shows what we answered. Often a proxy or a firewall refuses Stripe.",
    )  # fmt: skip


def _sends(enabled: list[str], name: str) -> bool:
    return "*" in enabled or any(one == name or (one.startswith(name) and name.endswith(".")) for one in enabled)


def check_portal(answer: dict[str, Any]) -> Iterator[Finding]:
    """Stripe opens the portal only with a saved configuration."""
    yield judge(
        any(one["active"] for one in answer["data"]), "stripe.portal", "The customer portal has a default configuration.",
        "The customer portal has no default configuration.", why="Customers cannot change their card or cancel: Stripe refuses each link.",
        fix="Stripe's dashboard, Settings, Billing, Customer portal: save it once, in this mode.",
    )  # fmt: skip


def check_tax(answer: dict[str, Any]) -> Iterator[Finding]:
    """Whether Stripe Tax could compute."""
    yield judge(
        answer["status"] == "active", "stripe.tax", "Stripe Tax is active.", "Stripe Tax is not set up.", warn=True,
        why="No tax is computed; that is right only where none is due.", fix="Stripe's dashboard, Tax: finish the setup.",
    )  # fmt: skip


def check_price(answer: dict[str, Any]) -> Iterator[Finding]:
    """An offered price can be bought."""
    price = answer["id"]
    yield judge(
        bool(answer["active"]) and bool(answer.get("recurring")), f"stripe.price.{price}", f"{price} can be bought.",
        f"{price} is offered here, and cannot be bought at Stripe.", why="Every buyer's payment page fails.",
        fix="Pick another price for this product in the console, or activate it at Stripe.",
    )  # fmt: skip
