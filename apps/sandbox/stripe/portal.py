"""The billing portal: configurations, sessions, and what a customer may do there (docs.stripe.com/customer-management)."""

from apps.sandbox import settings
from apps.sandbox.stripe import cards, changes, collection, customers, invoice_api, subscriptions, timeline
from apps.sandbox.stripe.errors import ApiError, invalid, missing_parameter
from apps.sandbox.stripe.events import change, emit
from apps.sandbox.stripe.records import Obj, add, blank, copied, every, find, get, merge_metadata, new, root
from apps.sandbox.stripe.routing import route

MOST_PRODUCTS = 10
FLOWS = ("subscription_cancel", "subscription_update", "subscription_update_confirm")


def default_configuration() -> Obj:
    """The configuration used when none is named."""
    if not root()["settings"]["portal_saved"]:
        raise invalid(
            "No configuration provided and your test mode default configuration has not been created. Provide a configuration or"
            " create your default by saving your customer portal settings in test mode."
        )
    for made in every("billing_portal.configuration"):
        if made["is_default"]:
            return made
    made = new("billing_portal.configuration", is_default=True, updated=timeline.now())
    made["features"]["subscription_cancel"]["enabled"] = True
    made["features"]["subscription_update"] |= {"enabled": True, "default_allowed_updates": ["price"]}
    return made


def _configure(configuration: Obj, params: Obj) -> None:
    for name in ("default_return_url", "name"):
        if name in params:
            configuration[name] = params[name] or None
    for name, value in params.get("business_profile", {}).items():
        configuration["business_profile"][name] = value or None
    for name, spec in params.get("features", {}).items():
        feature = configuration["features"][name]
        for key, value in spec.items():
            feature[key] = (
                (feature[key] | value) if isinstance(value, dict) and isinstance(feature.get(key), dict) else value
            )
    _check_products(configuration["features"]["subscription_update"])
    if "active" in params:
        configuration["active"] = params["active"]
    merge_metadata(configuration, params.get("metadata"))
    configuration["updated"] = timeline.now()


def _check_products(feature: Obj) -> None:
    products = feature["products"] or []
    if len(products) > MOST_PRODUCTS:
        raise invalid(f"You can specify at most {MOST_PRODUCTS} products.", "features[subscription_update][products]")
    for product in products:
        product.setdefault("adjustable_quantity", {"enabled": False, "maximum": None, "minimum": 1})
        get("product", product["product"], "features[subscription_update][products]")
        for price in product["prices"]:
            get("price", price, "features[subscription_update][products][0][prices]")


@route("POST /v1/billing_portal/configurations")
def create_configuration(params: Obj) -> Obj:
    """A configuration of the portal."""
    configuration = blank("billing_portal.configuration", updated=timeline.now())
    _configure(configuration, params)
    emit("billing_portal.configuration.created", add(configuration))
    return configuration


@route("POST /v1/billing_portal/sessions")
def create_session(params: Obj) -> Obj:
    """A door into the portal for one customer."""
    if "customer" not in params:
        raise missing_parameter("customer")
    customer = get("customer", params["customer"], "customer")
    wanted = params.get("configuration")
    configuration = get("billing_portal.configuration", wanted, "configuration") if wanted else default_configuration()
    session = blank(
        "billing_portal.session",
        customer=customer["id"],
        configuration=configuration["id"],
        locale=params.get("locale"),
    )
    session["return_url"] = params.get("return_url") or configuration["default_return_url"]
    session["flow"] = _flow(params["flow_data"], customer) if "flow_data" in params else None
    session["url"] = f"{settings.BASE_URL}/stripe/portal/{session['id']}"
    emit("billing_portal.session.created", add(session))
    return session


def _flow(data: Obj, customer: Obj) -> Obj:
    kind = data.get("type")
    if kind is None:
        raise missing_parameter("flow_data[type]")
    made: Obj = {"type": kind, **dict.fromkeys(FLOWS)}
    done = data.get("after_completion", {"type": "portal_homepage"})
    hosted, redirect = done.get("hosted_confirmation"), done.get("redirect")
    made["after_completion"] = {
        "type": done["type"],
        "hosted_confirmation": {"custom_message": hosted.get("custom_message")} if hosted else None,
        "redirect": {"return_url": redirect["return_url"]} if redirect else None,
    }
    if kind in FLOWS:
        spec = copied(data.get(kind) or {})
        if "subscription" not in spec:
            raise missing_parameter(f"flow_data[{kind}][subscription]")
        own = get("subscription", spec["subscription"], f"flow_data[{kind}][subscription]")
        if own["customer"] != customer["id"]:
            raise invalid("This subscription does not belong to the customer.", f"flow_data[{kind}][subscription]")
        empty: dict[str, Obj] = {
            "subscription_cancel": {"retention": None},
            "subscription_update_confirm": {"discounts": None},
        }
        made[kind] = empty.get(kind, {}) | spec
        for item in made[kind].get("items", []):
            item.setdefault("price", None)
    return made


def choices(configuration: Obj, subscription: Obj) -> list[Obj]:
    """The prices this customer may change to."""
    named = [
        price
        for product in configuration["features"]["subscription_update"]["products"] or []
        for price in product["prices"]
    ]
    found = [
        price
        for price in every("price")
        if price["active"] and price["recurring"] and price["currency"] == subscription["currency"]
    ]
    return [price for price in found if not named or price["id"] in named]


def cancel(subscription: Obj, configuration: Obj) -> None:
    """Cancel as the configuration says: at the period's end (by `cancel_at`, the boolean stays false) or now."""
    if configuration["features"]["subscription_cancel"]["mode"] == "immediately":
        subscriptions.end(subscription, reason="cancellation_requested")
        return
    ends = subscription["trial_end"] if subscription["status"] == "trialing" else subscriptions.period_end(subscription)
    with change(subscription, "customer.subscription.updated"):
        subscriptions.set_cancel(subscription, at_period_end=False, moment=ends)
    subscriptions.schedule(subscription)


def undo_cancel(subscription: Obj) -> None:
    """Undo a planned cancellation."""
    with change(subscription, "customer.subscription.updated"):
        subscriptions.set_cancel(subscription, at_period_end=False, moment=None)
    subscriptions.schedule(subscription)


def change_plan(subscription: Obj, items: list[Obj], configuration: Obj) -> None:
    """New prices or quantities, prorated as the configuration says."""
    feature = configuration["features"]["subscription_update"]
    spec: Obj = {"items": items, "proration_behavior": feature["proration_behavior"], "off_session": False}
    if subscription["status"] == "trialing" and feature["trial_update_behavior"] == "end_trial":
        spec["trial_end"] = "now"
    changes.update(subscription, spec)


def save_card(customer: Obj, number: str, *, name: str, exp: tuple[int, int], authenticated: bool) -> str:
    """A new card for everything, also for what is open: "saved", "authenticate", or ApiError 402."""
    method = cards.make(number, name=name, email=customer["email"], exp=exp)
    if cards.card_of(method).attach == "authenticate" and not authenticated:
        return "authenticate"
    customers.attach(method, customer["id"], authenticated=authenticated)
    with change(customer, "customer.updated"):
        customer["invoice_settings"]["default_payment_method"] = method["id"]
    for subscription in every("subscription"):
        if subscription["customer"] == customer["id"] and subscription["status"] not in subscriptions.ENDED:
            with change(subscription, "customer.subscription.updated"):
                subscription["default_payment_method"] = method["id"]
    for invoice in open_invoices(customer):
        if collection.collect(invoice, method, on_session=True, authenticated=authenticated) == "failed":
            raise ApiError(402, "The card was saved, but the payment of your open invoice was declined.")
    return "saved"


def open_invoices(customer: Obj) -> list[Obj]:
    """What the customer still has to pay."""
    return [
        invoice for invoice in every("invoice") if invoice["customer"] == customer["id"] and invoice["status"] == "open"
    ]


def pay_invoice(customer: Obj, invoice_id: str) -> None:
    """Pay an open invoice with the usual card."""
    invoice = find("invoice", invoice_id)
    if invoice is None or invoice not in open_invoices(customer):
        raise invalid("This invoice is not open.")
    invoice_api.pay(invoice, None, on_session=True)
