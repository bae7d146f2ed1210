"""Customers and their payment methods."""

from apps.sandbox.stripe import cards, lists
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
    """A customer, perhaps on a test clock, perhaps with a payment method."""
    if "test_clock" in params:
        get("test_helpers.test_clock", params["test_clock"], "test_clock")
    customer = new("customer", invoice_prefix=random_text(8).upper(), test_clock=params.get("test_clock"))
    _apply(customer, params)
    emit("customer.created", customer)
    if "payment_method" in params:
        attach(resolve(params["payment_method"]), customer["id"])
    elif str(params.get("source", "")).startswith("tok_"):
        attach(resolve(params["source"]), customer["id"])
    return customer


def _apply(customer: Obj, params: Obj) -> None:
    for name in PLAIN:
        if name in params:
            customer[name] = params[name] or None
    for name in ("address", "shipping"):
        if name in params:
            parts = params[name] or None
            whole = {
                "city": None,
                "country": None,
                "line1": None,
                "line2": None,
                "postal_code": None,
                "state": None,
            }
            customer[name] = whole | parts if name == "address" and parts else parts
    if "balance" in params:
        customer["balance"] = params["balance"]
    if "preferred_locales" in params:
        customer["preferred_locales"] = params["preferred_locales"]
    default = params.get("invoice_settings", {}).get("default_payment_method")
    if default is not None:
        customer["invoice_settings"]["default_payment_method"] = _own_method(customer, default) if default else None
    merge_metadata(customer, params.get("metadata"))


def _own_method(customer: Obj, identifier: str) -> str:
    param = "invoice_settings[default_payment_method]"
    method = resolve(identifier, param)
    if method["customer"] is None and identifier in cards.MAGIC:
        attach(method, customer["id"])
    if method["customer"] != customer["id"]:
        raise invalid(
            f"The customer does not have a payment method with the ID {identifier}. The payment method must be attached to the customer.",
            param,
            "resource_missing",
        )
    return str(method["id"])


@route("POST /v1/customers/{customer}")
def update_customer(params: Obj, identifier: str) -> Obj:
    """Change a customer."""
    customer = get("customer", identifier)
    with change(customer, "customer.updated"):
        _apply(customer, params)
    return customer


@route("GET /v1/customers")
def list_customers(params: Obj) -> Obj:
    """Customers, by e-mail (exactly as written) or test clock."""
    found = lists.matching(every("customer"), params, "email", "test_clock")
    if "test_clock" not in params:
        found = [customer for customer in found if customer["test_clock"] is None]
    return lists.page(found, params, "/v1/customers")


@route("GET /v1/customers/search")
def search_customers(params: Obj) -> Obj:
    """Customers by query."""
    return lists.search(every("customer"), params, "/v1/customers/search")


@route("GET /v1/customers/{customer}")
def get_customer(_params: Obj, identifier: str) -> Obj:
    """One customer; a deleted one as Stripe shows it."""
    if root()["private"].get(identifier, {}).get("deleted"):
        return {"id": identifier, "object": "customer", "deleted": True}
    return get("customer", identifier)


@route("DELETE /v1/customers/{customer}")
def delete_customer(_params: Obj, identifier: str) -> Obj:
    """Delete a customer; subscriptions are canceled at once."""
    from apps.sandbox.stripe import subscriptions

    customer = get("customer", identifier)
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


@route("POST /v1/payment_methods")
def create_payment_method(params: Obj) -> Obj:
    """A payment method from a test card's number or token."""
    details = params.get("card", {})
    number = details.get("number") or cards.MAGIC.get(details.get("token", ""), "")
    if params.get("type", "card") == "us_bank_account":
        number = "000123456789"
    method = cards.make(number.replace(" ", ""), exp=(details.get("exp_month", 12), details.get("exp_year", 2034)))
    _details(method, params)
    return add(method)


def _details(method: Obj, params: Obj) -> None:
    for name, value in params.get("billing_details", {}).items():
        if isinstance(value, dict):
            method["billing_details"][name].update(value)
        else:
            method["billing_details"][name] = value or None
    if "allow_redisplay" in params:
        method["allow_redisplay"] = params["allow_redisplay"]
    merge_metadata(method, params.get("metadata"))


@route("POST /v1/payment_methods/{payment_method}")
def update_payment_method(params: Obj, identifier: str) -> Obj:
    """Change a saved method's expiry or billing details."""
    method = get("payment_method", identifier)
    with change(method, "payment_method.updated"):
        method.get("card", {}).update(
            {key: value for key, value in params.get("card", {}).items() if key in {"exp_month", "exp_year"}}
        )
        _details(method, params)
    return method


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
    method = get("payment_method", identifier)
    if method["customer"] is None:
        raise invalid("The payment method you provided is not attached to a customer so detachment is impossible.")
    detach(method)
    return method


@route("GET /v1/payment_methods/{payment_method}")
def get_payment_method(_params: Obj, identifier: str) -> Obj:
    """One payment method."""
    return get("payment_method", identifier)


@route("GET /v1/payment_methods")
def list_payment_methods(params: Obj) -> Obj:
    """Payment methods of a customer."""
    return lists.page(
        lists.matching(every("payment_method"), params, "customer", "type"),
        params,
        "/v1/payment_methods",
    )


@route("GET /v1/customers/{customer}/payment_methods")
def list_customer_methods(params: Obj, identifier: str) -> Obj:
    """Payment methods of the customer in the address."""
    get("customer", identifier)
    own = lists.matching(every("payment_method"), {**params, "customer": identifier}, "customer", "type")
    return lists.page(own, params, f"/v1/customers/{identifier}/payment_methods")


@route("GET /v1/customers/{customer}/payment_methods/{payment_method}")
def get_customer_method(_params: Obj, identifier: str, method_id: str) -> Obj:
    """One payment method of the customer in the address."""
    method = get("payment_method", method_id)
    if method["customer"] != identifier:
        raise invalid(f"No such PaymentMethod: '{method_id}'", "payment_method", "resource_missing")
    return method
