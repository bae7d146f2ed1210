"""The Stripe part of the doctor: changes nothing, and says what is missing before a customer meets it."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import stripe
from django.conf import settings

from apps.billing import doctor_features, key_rights
from apps.billing.events import needs_work
from apps.billing.key_rights import Call, ask
from apps.billing.models import InboundEvent
from apps.billing.stripe_client import MissingAtStripe, MissingRight
from apps.catalog.models import ProductPrice
from apps.core import clock
from apps.core.errors import DependencyDown, RetryLater, WorkError
from apps.core.findings import Finding, Severity, judge

# Of each family of `events` what changes a customer or a price. docs.stripe.com/api/events/types
FAMILIES = {
    "customer.subscription": "created updated deleted paused resumed", "customer": "updated deleted",
    "customer.discount": "created updated deleted",
    "checkout.session": "completed async_payment_succeeded async_payment_failed expired",
    "invoice": "paid payment_failed payment_action_required voided marked_uncollectible finalization_failed",
    "charge": "refunded", "charge.dispute": "created updated closed funds_withdrawn funds_reinstated",
    "refund": "created updated failed", "credit_note": "created updated voided", "product": "updated deleted", "price": "updated deleted",
}  # fmt: skip
NEEDED_EVENTS = [f"{family}.{name}" for family, names in FAMILIES.items() for name in names.split()]
FLOWS = {
    "payment_method_update": "pay with another card",
    "subscription_cancel": "cancel",
    "subscription_update": "change plans",
}
# How old the failed deliveries are that count; a younger one may yet succeed.
SINCE, PENDING = dt.timedelta(days=1), dt.timedelta(minutes=15)
MOST_EVENTS = 300
WEBHOOK_PATH = "/onboarding/webhook/"
DASHBOARD = "Stripe's dashboard, Webhooks"


def check_stripe() -> Iterator[Finding]:
    """The key, its mode and rights, the endpoint, the portal, tax, and the prices we offer."""
    live = settings.STRIPE_LIVE_MODE
    yield judge(
        live or not settings.HTTPS, "stripe.mode", f"The key is a {'live' if live else 'test'} key.",
        "A test key serves a public site.", why="Nobody is really charged with a test key.", warn=True,
        fix="Set STRIPE_SECRET_KEY and STRIPE_PUBLISHABLE_KEY to live keys, and STRIPE_ALLOW_LIVE=true.",
    )  # fmt: skip
    yield (key := _check_key())
    if key.severity != Severity.PASSED:  # asking thirty times more would take minutes
        return
    yield from key_rights.check_rights()
    default: Any = {"is_default": True, "active": True}
    yield from doctor_features.check_settings()
    asked: dict[str, tuple[Call, Callable[[Any], Iterator[Finding]]]] = {
        "stripe.endpoint": (lambda client: client.v1.webhook_endpoints.list({"limit": 100}), check_endpoint),
        "stripe.deliveries": (_list_undelivered, check_deliveries),
        "stripe.portal": (lambda client: client.v1.billing_portal.configurations.list(default), check_portal),
    } | doctor_features.questions()
    for price in ProductPrice.objects.filter(is_active=True).exclude(stripe_price_id=""):
        asked[f"stripe.price.{price.stripe_price_id}"] = (_retrieve_price(price.stripe_price_id), check_price)
    for id_, (call, check) in asked.items():
        yield from _check_answer(id_, call, check)


def _check_key() -> Finding:
    """Whether Stripe accepts our key; else there is nothing more to ask."""
    id_, passed = "stripe.answer", "Stripe accepts our key."
    try:
        ask(key_rights.READS["customers"])
    except MissingRight:
        return Finding(id=id_, severity=Severity.PASSED, message=passed)
    except (DependencyDown, RetryLater) as error:
        return Finding(
            id=id_,
            severity=Severity.SKIPPED,
            message="Stripe could not be asked.",
            fix=f"{error.reason} Try again later.",
        )
    except WorkError as error:
        why = "Nobody can pay, and access no longer follows payment."
        return Finding(
            id=id_, severity=Severity.ERROR, message="Stripe does not accept our key.", why=why, fix=error.reason
        )
    return Finding(id=id_, severity=Severity.PASSED, message=passed)


def _check_answer(id_: str, call: Call, check: Callable[[Any], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings about what Stripe answers; skipped when it does not let us read it."""
    try:
        answer = ask(call)
    except MissingAtStripe:
        answer = {"id": id_.rpartition(".")[2], "active": False}
    except WorkError as error:
        yield Finding(id=id_, severity=Severity.SKIPPED, message="Stripe did not let us read this.", fix=error.reason)
        return
    yield from check(answer.to_dict() if isinstance(answer, stripe.StripeObject) else answer)


def check_endpoint(answer: dict[str, Any]) -> Iterator[Finding]:
    """An enabled endpoint at our address, with our version and all events that we need."""
    url = f"{settings.BASE_URL}{WEBHOOK_PATH}"
    ours = [one for one in answer["data"] if one["url"] == url]
    found = sorted(ours, key=lambda one: str(one["status"]) != "enabled")
    yield judge(
        bool(found), "stripe.endpoint.url", f"Stripe sends its events to {url}.", f"No endpoint at Stripe has the address {url}.",
        why="Payments then reach us a quarter of an hour late.", fix=f"{DASHBOARD}: add an endpoint with exactly this address.",
    )  # fmt: skip
    for one in found[:1]:
        yield judge(
            one["status"] == "enabled", "stripe.endpoint.state", "The endpoint is enabled.", "The endpoint is disabled.",
            why="Stripe disables one that failed for days.", fix=f"{DASHBOARD}: enable it.",
        )  # fmt: skip
        version = one.get("api_version") or "the account's own version"
        yield judge(
            version == settings.STRIPE_API_VERSION, "stripe.endpoint.version", f"It speaks {version}.",
            f"It speaks {version}, we expect {settings.STRIPE_API_VERSION}.", warn=True,
            why="Events only tell us what to fetch, so nothing is lost, but their payload may name things otherwise.",
            fix=f"Make an endpoint with version {settings.STRIPE_API_VERSION} and delete this one.",
        )  # fmt: skip
        missing = (
            []
            if "*" in one["enabled_events"]
            else [name for name in NEEDED_EVENTS if name not in one["enabled_events"]]
        )
        yield judge(
            not missing, "stripe.endpoint.events", "It sends all events we need.", f"It does not send {', '.join(missing)}.",
            why="What it does not send we find by comparison, up to an hour late.", fix=f"{DASHBOARD}: add these events to the endpoint.",
        )  # fmt: skip
    yield judge(
        len(found) <= 1, "stripe.endpoint.one", "No other endpoint has our address.", f"{len(found)} endpoints have our address.",
        warn=True, why="Each signs with a secret of its own, and we take one: the events of the others are refused.",
        fix=f"{DASHBOARD}: keep the one whose signing secret is STRIPE_WEBHOOK_SECRET.",
    )  # fmt: skip


def _list_undelivered(client: stripe.StripeClient) -> dict[str, Any]:
    """Events of the last day that an endpoint of the account, whichever it is, has not taken."""
    now = clock.now()
    created = {"gte": int((now - SINCE).timestamp()), "lte": int((now - PENDING).timestamp())}
    wanted: Any = {"delivery_success": False, "limit": 100, "created": created}
    listed = client.v1.events.list(wanted)
    return {"data": [{"id": one.id, "type": one.type} for one in islice(listed.auto_paging_iter(), MOST_EVENTS)]}


def check_deliveries(answer: dict[str, Any]) -> Iterator[Finding]:
    """Stripe delivers what we need; an event that it has delivered to us failed at somebody else's endpoint."""
    failed = {one["id"]: one["type"] for one in answer["data"] if needs_work(one["type"])}
    arrived = InboundEvent.objects.filter(source="webhook", received_at__gte=clock.now() - SINCE)
    for id_ in arrived.filter(stripe_event_id__in=list(failed)).values_list("stripe_event_id", flat=True):
        del failed[id_]
    kinds = ", ".join(f"{kind} ({count})" for kind, count in Counter(failed.values()).most_common(5))
    yield judge(
        not failed, "stripe.deliveries", "Stripe delivers its events.", f"Not delivered to us within a day: {kinds}.", warn=arrived.exists(),
        why="What is not delivered we fetch a quarter of an hour late, and after days of failures Stripe disables the endpoint.",
        fix=f"{DASHBOARD}, our endpoint, Event deliveries, shows our answers. 400: set STRIPE_WEBHOOK_SECRET to the signing secret of this"
        " endpoint. 301 or 404: correct its address. No answer: let Stripe through the firewall.",
    )  # fmt: skip


def check_portal(answer: dict[str, Any]) -> Iterator[Finding]:
    """Stripe opens the portal only with a saved configuration, and a page of it only if that allows it."""
    found = [one for one in answer["data"] if one["active"]]
    yield judge(
        bool(found), "stripe.portal", "The customer portal has a default configuration.",
        "The customer portal has no default configuration.", why="Customers cannot change their card or cancel: Stripe refuses each link.",
        fix="Stripe's dashboard, Settings, Billing, Customer portal: save it once, in this mode.",
    )  # fmt: skip
    for flow, does in FLOWS.items() if found else ():
        yield judge(
            found[0]["features"][flow]["enabled"], f"stripe.portal.{flow}", f"Customers can {does} there.", f"Customers cannot {does} there.",
            why="Stripe refuses our link to that page.", fix="Stripe's dashboard, Settings, Billing, Customer portal: allow it.",
            warn=flow != "payment_method_update",
        )  # fmt: skip


def _retrieve_price(price_id: str) -> Call:
    return lambda client: client.v1.prices.retrieve(price_id)


def check_price(answer: dict[str, Any]) -> Iterator[Finding]:
    """An offered price can be bought."""
    price = answer["id"]
    yield judge(
        bool(answer["active"]) and bool(answer.get("recurring")), f"stripe.price.{price}", f"{price} can be bought.",
        f"{price} is offered here, and cannot be bought at Stripe.", why="Every buyer's payment page fails.",
        fix="Pick another price for this product in the console, or activate it at Stripe.",
    )  # fmt: skip
