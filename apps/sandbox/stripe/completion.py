"""What completing a Checkout Session does: the customer, the card, the subscription or payment, the late answer of a bank."""

from typing import Any

from apps.sandbox.stripe import (
    bill_lines,
    cards,
    collection,
    customers,
    payments,
    subscriptions,
    timeline,
)
from apps.sandbox.stripe.checkout import details, trial_end
from apps.sandbox.stripe.errors import invalid
from apps.sandbox.stripe.events import change, emit
from apps.sandbox.stripe.records import Obj, add, find, get, merge_metadata, private
from apps.sandbox.stripe.routing import route

TEMPLATE = "{CHECKOUT_SESSION_ID}"
SETTLE_SECONDS = 4 * 86_400


def address_after(session: Obj) -> str | None:
    """Where the customer goes after completing it."""
    template = session["success_url"] if session["ui_mode"] == "hosted_page" else session.get("return_url")
    return template.replace(TEMPLATE, session["id"]) if template else None


def complete(session: Obj, *, number: str, name: str, email: str, exp: tuple[int, int], authenticated: bool) -> str:
    """The customer pressed Pay: "done" or "authenticate"; ApiError 402 for a card that is refused, nothing changed then."""
    if session["status"] != "open":
        raise invalid("This Checkout Session is no longer open.")
    free = not session["amount_total"] and session["mode"] != "setup"
    needs_card = not (free and session.get("payment_method_collection") == "if_required")
    method = cards.make(number, name=name, email=email, exp=exp) if needs_card or number else None
    if method is not None and _verdict(session, method, free=free, authenticated=authenticated) == "authenticate":
        return "authenticate"
    customer = _customer(session, name=name, email=email)
    if method is not None and customer is not None:
        customers.attach(method, customer["id"], authenticated=authenticated)
    elif method is not None:
        add(method)
    session["customer_details"] = details(
        customer["email"] if customer else email or None,
        name or (customer["name"] if customer else None),
    )
    work: dict[str, Any] = {"subscription": _subscribe, "payment": _pay, "setup": _set_up}
    session["payment_status"] = "no_payment_required" if free or session["mode"] == "setup" else "paid"
    work[session["mode"]](session, customer, method, authenticated)
    session |= {"status": "complete", "url": None, "client_secret": None}
    timeline.plan("expire", session["id"], None)
    emit("checkout.session.completed", session)
    if session["payment_status"] == "unpaid":
        timeline.plan("settle", session["id"], timeline.now() + SETTLE_SECONDS, None)
    return "done"


def _verdict(session: Obj, method: Obj, *, free: bool, authenticated: bool) -> str:
    """What the bank will say, asked before anything is made, so that a decline leaves nothing behind."""
    saved = cards.card_of(method).attach
    paid = (
        "ok"
        if free or session["mode"] == "setup"
        else cards.outcome(method, on_session=True, authenticated=authenticated)
    )
    for verdict in (saved, paid):
        if verdict == "authenticate" and not authenticated:
            return "authenticate"
        if verdict not in {"ok", "authenticate", "processing", "dispute", "inquiry"}:
            raise cards.decline(verdict)
    return paid


def _customer(session: Obj, *, name: str, email: str) -> Obj | None:
    if session["customer"]:
        owner = get("customer", session["customer"])
        if not owner["name"] and name:
            with change(owner, "customer.updated"):
                owner["name"] = name
        return owner
    if session["mode"] == "payment" and session["customer_creation"] == "if_required":
        return None
    wish = {key: value for key, value in (("email", email or session["customer_email"]), ("name", name)) if value}
    owner = customers.create_customer(wish)
    session["customer"] = owner["id"]
    return owner


def _subscribe(session: Obj, customer: Obj, method: Obj | None, authenticated: bool) -> None:
    notes = private(session["id"])
    data = notes["subscription_data"]
    wishes: list[tuple[Obj, int, Obj]] = [
        (item["price"], item["quantity"], {}) for item in notes["line_items"] if item["price"]["recurring"]
    ]
    subscription = subscriptions.begin(customer=customer, wishes=wishes, trial_end=trial_end(data))
    merge_metadata(subscription, data.get("metadata"))
    subscription["description"] = data.get("description")
    subscription["trial_settings"] = data.get("trial_settings", subscription["trial_settings"])
    subscription["default_payment_method"] = method["id"] if method else None
    if "coupon" in notes:
        coupon, code = get("coupon", notes["coupon"][0]), find("promotion_code", notes["coupon"][1])
        subscriptions.give_discount(subscription, coupon=coupon, code=code, checkout=session["id"])
    private(subscription["id"])["waiting_lines"] = [
        bill_lines.one_time_line(item["price"], item["quantity"], subscription["id"])
        for item in notes["line_items"]
        if not item["price"]["recurring"]
    ]
    result = collection.start(subscription, method=method, on_session=True, authenticated=authenticated)
    session |= {"subscription": subscription["id"], "invoice": subscription["latest_invoice"]}
    if result == "processing":
        session["payment_status"] = "unpaid"


def _pay(session: Obj, customer: Obj | None, method: Obj | None, authenticated: bool) -> None:
    if method is None:
        return
    data = private(session["id"])["payment_intent_data"]
    intent = payments.make_intent(
        amount=session["amount_total"],
        currency=session["currency"],
        customer=customer["id"] if customer else None,
        description=data.get("description"),
    )
    merge_metadata(intent, data.get("metadata"))
    session["payment_intent"] = intent["id"]
    if payments.confirm(intent, method, on_session=True, authenticated=authenticated) == "processing":
        session["payment_status"] = "unpaid"


def _set_up(session: Obj, customer: Obj | None, method: Obj | None, _authenticated: bool) -> None:
    session["setup_intent"] = payments.make_setup_intent(customer=customer["id"] if customer else None, method=method)[
        "id"
    ]


def settle(session: Obj, *, paid: bool) -> None:
    """The bank's late answer to a session that was completed unpaid."""
    if session["payment_status"] != "unpaid" or session["status"] != "complete":
        return
    timeline.plan("settle", session["id"], None)
    if session["invoice"]:
        collection.settle(get("invoice", session["invoice"]), paid=paid)
    else:
        payments.settle(get("payment_intent", session["payment_intent"]), paid=paid)
    if paid:
        session["payment_status"] = "paid"
    emit(f"checkout.session.async_payment_{'succeeded' if paid else 'failed'}", session)


@route("GET /v1/payment_pages/{session}")
def get_payment_page(_params: Obj, identifier: str) -> Obj:
    """The session, for Stripe's command line tool."""
    return get("checkout.session", identifier)


@route("POST /v1/payment_pages/{session}/confirm")
def confirm_payment_page(params: Obj, identifier: str) -> Obj:
    """Complete a session with a payment method's test card, as Stripe's command line tool does."""
    session = get("checkout.session", identifier)
    wanted = customers.resolve(str(params.get("payment_method", "")))
    number = private(wanted["id"])["number"]
    email = wanted["billing_details"]["email"] or "stripe@example.com"
    name = wanted["billing_details"]["name"] or ""
    complete(session, number=number, name=name, email=email, exp=(12, 2034), authenticated=True)
    return session
