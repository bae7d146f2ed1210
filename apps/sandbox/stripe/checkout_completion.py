"""What completing a Checkout Session does: the customer, the card, the subscription or payment, the late answer of a bank."""

from apps.sandbox.stripe import cards, checkout_totals, collection, coupons, customers, subscriptions, timeline
from apps.sandbox.stripe.checkout import details
from apps.sandbox.stripe.errors import invalid
from apps.sandbox.stripe.events import change, emit
from apps.sandbox.stripe.records import Obj, get, merge_metadata, private

TEMPLATE = "{CHECKOUT_SESSION_ID}"
PROCESSING_SECONDS = 4 * 86_400


def address_after(session: Obj) -> str | None:
    """Where the customer goes after completing it."""
    template = session["success_url"] if session["ui_mode"] == "hosted_page" else session.get("return_url")
    return template.replace(TEMPLATE, session["id"]) if template else None


def complete(session: Obj, *, number: str, name: str, email: str, exp: tuple[int, int], authenticated: bool) -> str:
    """The customer pressed Pay: "done" or "authenticate"; ApiError 402 for a card that is refused, nothing changed then."""
    if session["status"] != "open":
        raise invalid("This Checkout Session is no longer open.")
    free = not session["amount_total"]
    method = (
        cards.make(number, name=name, email=email, exp=exp) if number or checkout_totals.needs_card(session) else None
    )
    if method is not None and _verdict(method, free=free, authenticated=authenticated) == "authenticate":
        return "authenticate"
    customer = _customer(session, name=name, email=email)
    if method is not None:
        customers.attach(method, customer["id"], authenticated=authenticated)
    _keep_filled_in(session, customer, name=name)
    session["payment_status"] = "no_payment_required" if free else "paid"
    _subscribe(session, customer, method, authenticated=authenticated)
    session |= {"status": "complete", "url": None, "client_secret": None}
    timeline.plan("expire", session["id"], None)
    emit("checkout.session.completed", session)
    if session["payment_status"] == "unpaid":
        timeline.plan("finish_processing", session["id"], timeline.now() + PROCESSING_SECONDS)
    return "done"


def _verdict(method: Obj, *, free: bool, authenticated: bool) -> str:
    """What the bank will say, asked before anything is made, so that a decline leaves nothing behind."""
    saved = cards.card_of(method).attach
    paid = "ok" if free else cards.outcome(method, on_session=True, authenticated=authenticated)
    for verdict in (saved, paid):
        if verdict == "authenticate" and not authenticated:
            return "authenticate"
        if verdict not in {"ok", "authenticate", "processing", "dispute", "inquiry"}:
            raise cards.decline(verdict)
    return paid


def _customer(session: Obj, *, name: str, email: str) -> Obj:
    if session["customer"]:
        owner = get("customer", session["customer"])
        if not owner["name"] and name:
            with change(owner, "customer.updated"):
                owner["name"] = name
        return owner
    spec = {key: value for key, value in (("email", email or session["customer_email"]), ("name", name)) if value}
    owner = customers.create_customer(spec)
    session["customer"] = owner["id"]
    return owner


def _keep_filled_in(session: Obj, customer: Obj, *, name: str) -> None:
    """The address and tax id of the page, on the session, and on the customer as far as the session allows it."""
    notes = private(session["id"])
    tax_ids = [{"type": "eu_vat", "value": notes["tax_id"]}] if notes.get("tax_id") else []
    address = dict.fromkeys(("city", "line1", "line2", "postal_code", "state")) | {"country": notes.get("country")}
    session["customer_details"] = details(customer["email"], name or customer["name"]) | {
        "address": address if notes.get("country") else None,
        "tax_ids": tax_ids or None,
    }
    private(customer["id"])["tax_ids"] = tax_ids or private(customer["id"]).get("tax_ids", [])
    if notes.get("country") and notes["customer_update"].get("address", "auto") == "auto":
        with change(customer, "customer.updated"):
            customer["address"] = address


def _subscribe(session: Obj, customer: Obj, method: Obj | None, *, authenticated: bool) -> None:
    notes = private(session["id"])
    data = notes["subscription_data"]
    specs: list[tuple[Obj, int, Obj]] = [(item["price"], item["quantity"], {}) for item in notes["line_items"]]
    subscription = subscriptions.begin(customer=customer, specs=specs, trial_end=checkout_totals.trial_end(session))
    subscription["trial_settings"] = subscription["trial_settings"] | data.get("trial_settings", {})
    if session["automatic_tax"]["enabled"]:
        subscription["automatic_tax"] |= {"enabled": True, "liability": {"type": "self"}}
    merge_metadata(subscription, data.get("metadata"))
    subscription["description"] = data.get("description")
    subscription["default_payment_method"] = method["id"] if method else None
    coupons.redeem(subscription, session.get("discounts") or [])
    result = collection.start(subscription, method=method, on_session=True, authenticated=authenticated)
    session |= {"subscription": subscription["id"], "invoice": subscription["latest_invoice"]}
    if result == "processing":
        session["payment_status"] = "unpaid"


def finish_processing(session: Obj, *, paid: bool) -> None:
    """The bank's late answer to a session that was completed unpaid."""
    if session["payment_status"] != "unpaid" or session["status"] != "complete":
        return
    timeline.plan("finish_processing", session["id"], None)
    collection.finish_processing(get("invoice", session["invoice"]), paid=paid)
    if paid:
        session["payment_status"] = "paid"
    emit(f"checkout.session.async_payment_{'succeeded' if paid else 'failed'}", session)
