"""The addresses of subscriptions and their items."""

from apps.sandbox.stripe import (
    catalog,
    changes,
    collection,
    customers,
    pricing,
    prorations,
    subscriptions,
    timeline,
)
from apps.sandbox.stripe.errors import invalid, missing_parameter, no_such
from apps.sandbox.stripe.records import Obj, every, get
from apps.sandbox.stripe.routing import route


@route("POST /v1/subscriptions")
def create_subscription(params: Obj) -> Obj:
    """A subscription with its first invoice, paid if `payment_behavior` and the card allow it."""
    if "customer" not in params:
        raise missing_parameter("customer")
    customer = get("customer", params["customer"], "customer")
    specs = _read_specs(params.get("items", []))
    customers.check_currency(customer, params.get("currency") or specs[0][0]["currency"])
    behaviour = params.get("payment_behavior", "allow_incomplete")
    trial = _trial_end(params)
    chosen = _method(customer, params)
    sent = params.get("collection_method") == "send_invoice"
    if (
        chosen is None
        and not (sent or trial or behaviour == "default_incomplete")
        and any(pricing.amount(price, quantity) for price, quantity, _ in specs)
    ):
        raise invalid(
            "This customer has no attached payment source or default payment method. Please consider adding a default payment method.",
            code="resource_missing",
        )
    currency = str(params.get("currency", "")).lower()
    if currency and not all(currency in pricing.options(price) for price, _, _ in specs):
        raise invalid(f"The price specified does not support the currency {currency}.", "currency")
    subscription = subscriptions.begin(customer=customer, specs=specs, trial_end=trial, currency=currency)
    changes.set_options(subscription, params)
    collection.start(
        subscription,
        method=chosen,
        on_session=not params.get("off_session", False),
        attempt=behaviour != "default_incomplete",
    )
    return subscription


def _read_specs(items: list[Obj]) -> list[tuple[Obj, int, Obj]]:
    if not items:
        raise missing_parameter("items")
    if len(items) > prorations.MOST_ITEMS:
        raise invalid(f"A subscription can have up to {prorations.MOST_ITEMS} items.", "items")
    specs = []
    for number, spec in enumerate(items):
        price = catalog.resolve_price(spec, f"items[{number}]")
        if price["recurring"] is None:
            raise invalid(
                "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`.",
                f"items[{number}][price]",
            )
        specs.append((price, spec.get("quantity", 1), spec.get("metadata") or {}))
    ids = [price["id"] for price, _, _ in specs]
    if len(set(ids)) < len(ids):
        raise invalid("Cannot add multiple subscription items with the same plan.", "items")
    return specs


def _trial_end(params: Obj) -> int | None:
    if "trial_period_days" in params:
        return timeline.now() + int(params["trial_period_days"]) * 86_400
    spec = params.get("trial_end")
    return None if spec in (None, "now") else int(spec)


def _method(customer: Obj, params: Obj) -> Obj | None:
    wanted = params.get("default_payment_method") or customer["invoice_settings"]["default_payment_method"]
    if wanted is None:
        return None
    method = customers.own_method(customer["id"], wanted)
    if "default_payment_method" in params:
        params["default_payment_method"] = method["id"]
    return method


def matching(found: list[Obj], params: Obj) -> list[Obj]:
    """Narrow a list by status; canceled ones are listed only when `status` asks for them."""
    wanted = params.get("status")
    if wanted == "ended":
        found = [each for each in found if each["status"] in subscriptions.ENDED]
    elif wanted is None:
        found = [each for each in found if each["status"] not in {"canceled", "incomplete_expired"}]
    elif wanted != "all":
        found = [each for each in found if each["status"] == wanted]
    return found


def cancel(subscription: Obj, params: Obj) -> Obj:
    """End the subscription now."""
    if subscription["status"] in subscriptions.ENDED:
        raise no_such("subscription", subscription["id"])
    comment = {name: value or None for name, value in params.get("cancellation_details", {}).items()}
    subscriptions.end(subscription, reason="cancellation_requested", comment=comment)
    return subscription


@route("POST /v1/subscriptions/{subscription}/resume")
def resume_subscription(params: Obj, identifier: str) -> Obj:
    """Go on after a trial that ended without a card: billed at once, and active once that is paid."""
    subscription = get("subscription", identifier)
    if subscription["status"] != "paused":
        raise invalid("You can only resume a subscription that is paused.")
    collection.resume(subscription, restart=params.get("billing_cycle_anchor", "now") == "now")
    return subscription


def every_item() -> list[Obj]:
    """The lines of all subscriptions."""
    return [item for subscription in every("subscription") for item in subscriptions.items_of(subscription)]


def find_item(identifier: str) -> Obj:
    """One line. Raises ApiError (404)."""
    for item in every_item():
        if item["id"] == identifier:
            return item
    raise no_such("subscription_item", identifier)


def delete_item(item: Obj, params: Obj) -> Obj:
    """Take a line off its subscription."""
    wanted: Obj = {name: params[name] for name in ("proration_behavior", "proration_date") if name in params}
    wanted["items"] = [{"id": item["id"], "deleted": True}]
    changes.update(get("subscription", item["subscription"]), wanted)
    return {"id": item["id"], "object": "subscription_item", "deleted": True}
