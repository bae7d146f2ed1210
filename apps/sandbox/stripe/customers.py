"""Customers and their payment methods."""

from apps.sandbox.stripe import balances, cards
from apps.sandbox.stripe.errors import invalid
from apps.sandbox.stripe.events import change, emit
from apps.sandbox.stripe.records import (
    Obj,
    add,
    every,
    find,
    forget,
    get,
    merge_metadata,
    new,
    private,
    random_text,
    root,
)
from apps.sandbox.stripe.routing import route

PLAIN = ("name", "email", "phone", "description", "tax_exempt")


@route("POST /v1/customers")
def create_customer(params: Obj) -> Obj:
    """A customer, perhaps with a payment method."""
    customer = new("customer", invoice_prefix=random_text(8).upper())
    _apply(customer, params)
    emit("customer.created", customer)
    if "payment_method" in params:
        attach(resolve(params["payment_method"]), customer["id"])
    return customer


def _apply(customer: Obj, params: Obj) -> None:
    for name in PLAIN:
        if name in params:
            customer[name] = params[name] or None
    if by := params.get("balance", customer["balance"]) - customer["balance"]:
        balances.note_move(customer, by, kind="adjustment", currency=customer["currency"] or "usd")
    if "preferred_locales" in params:
        customer["preferred_locales"] = params["preferred_locales"] or []
    default = params.get("invoice_settings", {}).get("default_payment_method")
    if default is not None:
        customer["invoice_settings"]["default_payment_method"] = (
            own_method(customer["id"], default, "invoice_settings[default_payment_method]")["id"] if default else None
        )
    merge_metadata(customer, params.get("metadata"))


def update(customer: Obj, params: Obj) -> None:
    with change(customer, "customer.updated"):
        _apply(customer, params)


def check_currency(customer: Obj, currency: str) -> None:
    """Refuse a second currency (docs.stripe.com/billing/customer): we go by the customer's own, which ended subscriptions leave."""
    if customer["currency"] not in (None, currency):
        raise invalid(
            "You cannot combine currencies on a single customer. This customer has an active subscription, subscription"
            f" schedule, discount, quote, or invoice item with currency {customer['currency']}."
        )


def find_or_deleted(identifier: str) -> Obj:
    """The customer; a deleted one as Stripe shows it."""
    if root()["private"].get(identifier, {}).get("deleted"):
        return {"id": identifier, "object": "customer", "deleted": True}
    return get("customer", identifier)


def delete(customer: Obj, _params: Obj) -> Obj:
    """Delete the customer; subscriptions are canceled at once."""
    from apps.sandbox.stripe import subscriptions

    identifier = customer["id"]
    for subscription in every("subscription"):
        if subscription["customer"] == identifier and subscription["status"] not in subscriptions.ENDED:
            subscriptions.end(subscription, reason="cancellation_requested")
    for method in every("payment_method"):
        if method["customer"] == identifier:
            detach(method)
    forget("customer", identifier)
    private(identifier)["deleted"] = True
    emit("customer.deleted", customer)
    return {"id": identifier, "object": "customer", "deleted": True}


def resolve(identifier: str, param: str = "payment_method") -> Obj:
    """The payment method with this id; a magic name makes a fresh one."""
    if identifier in cards.MAGIC:
        return add(cards.make(cards.MAGIC[identifier]))
    return get("payment_method", identifier, param)


def own_method(customer_id: str, identifier: str, param: str = "default_payment_method") -> Obj:
    """A method of this customer; one by a magic name becomes theirs."""
    method = resolve(identifier, param)
    if identifier in cards.MAGIC:
        attach(method, customer_id)
    if method["customer"] != customer_id:
        words = f"The customer does not have a payment method with the ID {identifier}. The payment method must be attached to the customer."
        raise invalid(words, param, "resource_missing")
    return method


def attach(method: Obj, customer_id: str, *, authenticated: bool = True) -> None:
    """Save the method on the customer; ApiError 402 if its bank refuses that."""
    verdict = cards.card_of(method).attach
    if verdict not in {"ok", "authenticate"}:
        raise cards.decline(verdict)
    add(method)
    method["customer"] = customer_id
    private(method["id"])["authenticated"] = authenticated
    emit("payment_method.attached", method)


def detach(method: Obj) -> None:
    """Take the method from its customer, everywhere it was a default."""
    owner = find("customer", method["customer"])
    with change(method, "payment_method.detached"):
        method["customer"] = None
    if owner is not None and owner["invoice_settings"]["default_payment_method"] == method["id"]:
        with change(owner, "customer.updated"):
            owner["invoice_settings"]["default_payment_method"] = None
    for subscription in every("subscription"):
        if subscription["default_payment_method"] == method["id"]:
            with change(subscription, "customer.subscription.updated"):
                subscription["default_payment_method"] = None


@route("POST /v1/payment_methods/{payment_method}/attach")
def attach_payment_method(params: Obj, identifier: str) -> Obj:
    """Save a method on a customer."""
    method = resolve(identifier, "id")
    customer = get("customer", params.get("customer"), "customer")
    if method["customer"] not in (None, customer["id"]):
        raise invalid("The payment method you provided has already been attached to a customer.")
    if method["customer"] is None:
        attach(method, customer["id"])
    return method


@route("POST /v1/payment_methods/{payment_method}/detach")
def detach_payment_method(_params: Obj, identifier: str) -> Obj:
    """Take a method from its customer."""
    method = get("payment_method", identifier, "payment_method")
    detach(method)
    return method
