"""The addresses of money: intents, charges, refunds, disputes, balance transactions."""

from apps.sandbox.stripe import cards, collection, customers, lists, payments
from apps.sandbox.stripe.errors import invalid
from apps.sandbox.stripe.events import change
from apps.sandbox.stripe.records import Obj, every, get, merge_metadata
from apps.sandbox.stripe.routing import route


@route("POST /v1/payment_intents")
def create_intent(params: Obj) -> Obj:
    """A payment intent, confirmed at once when `confirm` is set."""
    if params["amount"] < 50:
        raise invalid("Amount must be at least $0.50 usd", "amount", "amount_too_small")
    intent = payments.make_intent(
        amount=params["amount"],
        currency=params["currency"].lower(),
        customer=params.get("customer"),
        description=params.get("description"),
        future=params.get("setup_future_usage"),
    )
    intent["payment_method_types"] = params.get("payment_method_types", ["card"])
    merge_metadata(intent, params.get("metadata"))
    if "payment_method" in params:
        intent |= {
            "payment_method": customers.resolve(params["payment_method"])["id"],
            "status": "requires_confirmation",
        }
    if params.get("confirm"):
        return confirm_intent(params, intent["id"])
    return intent


@route("POST /v1/payment_intents/{intent}")
def update_intent(params: Obj, identifier: str) -> Obj:
    """Change an intent that has not been paid."""
    intent = get("payment_intent", identifier)
    intent.update({name: params[name] for name in ("amount", "description") if name in params})
    merge_metadata(intent, params.get("metadata"))
    return intent


@route("POST /v1/payment_intents/{intent}/confirm")
def confirm_intent(params: Obj, identifier: str) -> Obj:
    """Try to take the money; an invoice behind the intent follows. 402 on a decline."""
    intent = get("payment_intent", identifier)
    if intent["status"] not in {
        "requires_payment_method",
        "requires_confirmation",
        "requires_action",
    }:
        raise invalid(
            f"This PaymentIntent's status is {intent['status']}, it cannot be confirmed.",
            code="payment_intent_unexpected_state",
        )
    wanted = params.get("payment_method") or intent["payment_method"]
    if wanted is None:
        raise invalid(
            "You cannot confirm this PaymentIntent because it's missing a payment method.",
            code="payment_intent_unexpected_state",
        )
    method = customers.resolve(wanted)
    if method["customer"] is None and intent["customer"] and intent["setup_future_usage"]:
        customers.attach(method, intent["customer"])
    invoice = next(
        (
            get("invoice", link["invoice"])
            for link in every("invoice_payment")
            if link["payment"].get("payment_intent") == identifier
        ),
        None,
    )
    on_session = not params.get("off_session", False)
    if invoice is not None:
        result = collection.collect(invoice, method, on_session=on_session)
    else:
        result = payments.confirm(intent, method, on_session=on_session)
    if result == "failed":
        raise cards.decline(intent["last_payment_error"]["decline_code"], payment_intent=dict(intent))
    return intent


@route("POST /v1/payment_intents/{intent}/cancel")
def cancel_intent(params: Obj, identifier: str) -> Obj:
    """Give an intent up."""
    intent = get("payment_intent", identifier)
    if intent["status"] in {"succeeded", "canceled", "processing"}:
        raise invalid(
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}.",
            code="payment_intent_unexpected_state",
        )
    payments.cancel_intent(intent, params.get("cancellation_reason"))
    return intent


@route("GET /v1/payment_intents")
def list_intents(params: Obj) -> Obj:
    """Intents of a customer."""
    return lists.page(lists.matching(every("payment_intent"), params, "customer"), params, "/v1/payment_intents")


@route("GET /v1/payment_intents/search")
def search_intents(params: Obj) -> Obj:
    """Intents by query."""
    return lists.search(every("payment_intent"), params, "/v1/payment_intents/search")


@route("GET /v1/payment_intents/{intent}")
def get_intent(params: Obj, identifier: str) -> Obj:
    """One intent."""
    intent = get("payment_intent", identifier)
    if params.get("client_secret", intent["client_secret"]) != intent["client_secret"]:
        raise invalid("The client_secret provided does not match.", "client_secret")
    return intent


@route("POST /v1/setup_intents")
def create_setup_intent(params: Obj) -> Obj:
    """A setup intent, done at once when it is confirmed with a method."""
    intent = payments.make_setup_intent(customer=params.get("customer"), method=None)
    intent["usage"] = params.get("usage", "off_session")
    merge_metadata(intent, params.get("metadata"))
    if "payment_method" in params:
        intent |= {
            "payment_method": customers.resolve(params["payment_method"])["id"],
            "status": "requires_confirmation",
        }
    return confirm_setup_intent(params, intent["id"]) if params.get("confirm") else intent


@route("POST /v1/setup_intents/{intent}")
def update_setup_intent(params: Obj, identifier: str) -> Obj:
    """Change a setup intent's metadata."""
    intent = get("setup_intent", identifier)
    merge_metadata(intent, params.get("metadata"))
    return intent


@route("POST /v1/setup_intents/{intent}/confirm")
def confirm_setup_intent(params: Obj, identifier: str) -> Obj:
    """Save the method."""
    intent = get("setup_intent", identifier)
    method = customers.resolve(params.get("payment_method") or intent["payment_method"] or "")
    if intent["customer"] and method["customer"] is None:
        customers.attach(method, intent["customer"])
    with change(intent, "setup_intent.succeeded"):
        intent |= {"payment_method": method["id"], "status": "succeeded"}
    return intent


@route("POST /v1/setup_intents/{intent}/cancel")
def cancel_setup_intent(_params: Obj, identifier: str) -> Obj:
    """Give a setup intent up."""
    intent = get("setup_intent", identifier)
    with change(intent, "setup_intent.canceled"):
        intent["status"] = "canceled"
    return intent


@route("GET /v1/setup_intents")
def list_setup_intents(params: Obj) -> Obj:
    """Setup intents of a customer."""
    return lists.page(
        lists.matching(every("setup_intent"), params, "customer", "payment_method"),
        params,
        "/v1/setup_intents",
    )


@route("GET /v1/setup_intents/{intent}")
def get_setup_intent(_params: Obj, identifier: str) -> Obj:
    """One setup intent."""
    return get("setup_intent", identifier)
