"""The billing portal: configurations, sessions, and what a customer may do there (docs.stripe.com/customer-management)."""

from apps.sandbox import settings
from apps.sandbox.stripe import cards, changes, collection, customers, invoice_api, subscriptions, timeline
from apps.sandbox.stripe.errors import ApiError, invalid, missing_parameter
from apps.sandbox.stripe.events import change, emit
from apps.sandbox.stripe.records import Obj, add, blank, every, find, get, new, root
from apps.sandbox.stripe.routing import route

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


@route("POST /v1/billing_portal/sessions")
def create_session(params: Obj) -> Obj:
    """A door into the portal for one customer."""
    if "customer" not in params:
        raise missing_parameter("customer")
    customer = get("customer", params["customer"], "customer")
    configuration = default_configuration()
    session = blank("billing_portal.session", customer=customer["id"], configuration=configuration["id"])
    session["return_url"] = params.get("return_url") or configuration["default_return_url"]
    session["flow"] = _flow(params["flow_data"]) if "flow_data" in params else None
    session["url"] = f"{settings.BASE_URL}/stripe/portal/{session['id']}"
    emit("billing_portal.session.created", add(session))
    return session


def _flow(data: Obj) -> Obj:
    """Straight to the card; nothing of ours links to another page."""
    if data.get("type") != "payment_method_update":
        raise invalid("The sandbox only offers the flow `payment_method_update`.", "flow_data[type]")
    after = data.get("after_completion") or {"type": "portal_homepage"}
    if after["type"] == "redirect" and not (after.get("redirect") or {}).get("return_url"):
        raise missing_parameter("flow_data[after_completion][redirect][return_url]")
    done = {"hosted_confirmation": None, "redirect": None} | after
    return {"type": data["type"], **dict.fromkeys(FLOWS), "after_completion": done}


def choices(subscription: Obj) -> list[Obj]:
    """The prices this customer may change to."""
    currency = subscription["currency"]
    return [
        price for price in every("price") if price["active"] and price["recurring"] and price["currency"] == currency
    ]


def cancel(subscription: Obj) -> None:
    """Cancel at the period's end (by `cancel_at`, the boolean stays false)."""
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
    """New prices, prorated as the configuration says."""
    behaviour = configuration["features"]["subscription_update"]["proration_behavior"]
    changes.update(subscription, {"items": items, "proration_behavior": behaviour, "off_session": False})


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
