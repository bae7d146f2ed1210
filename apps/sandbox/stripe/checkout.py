"""Checkout Sessions: their rules, what completing one does, their end (docs.stripe.com/api/checkout/sessions)."""

from apps.sandbox import settings
from apps.sandbox.stripe import catalog, checkout_totals, customers, pricing, timeline
from apps.sandbox.stripe.errors import invalid, missing_parameter
from apps.sandbox.stripe.events import emit
from apps.sandbox.stripe.records import Obj, add, blank, find, get, merge_metadata, private, random_text
from apps.sandbox.stripe.routing import route

TEMPLATE = "{CHECKOUT_SESSION_ID}"
SHORTEST, LONGEST = 30 * 60, 24 * 3600
PLAIN = (
    "client_reference_id",
    "customer_email",
    "success_url",
    "cancel_url",
    "return_url",
    "billing_address_collection",
    "locale",
    "submit_type",
    "allow_promotion_codes",
    "payment_method_collection",
)


@route("POST /v1/checkout/sessions")
def create_session(params: Obj) -> Obj:
    """A session for the page or the embedded form."""
    mode, ui_mode = params.get("mode"), params.get("ui_mode", "hosted_page")
    if mode is None:
        raise missing_parameter("mode")
    _check_urls(params, ui_mode)
    customer = get("customer", params["customer"], "customer") if "customer" in params else None
    if customer is not None and "customer_email" in params:
        raise invalid("You may only specify one of these parameters: customer, customer_email.")
    if mode != "subscription":
        raise invalid("The sandbox only offers Checkout in `subscription` mode.", "mode")
    items = _line_items(params)
    if customer is not None:
        customers.check_currency(customer, items[0]["currency"])
    session = blank(
        "checkout.session",
        mode=mode,
        ui_mode=ui_mode,
        expires_at=_expiry(params),
        customer=customer["id"] if customer else None,
    )
    session |= {name: params[name] for name in PLAIN if name in params}
    session["payment_method_types"] = params.get("payment_method_types", ["card"])
    merge_metadata(session, params.get("metadata"))
    private(session["id"]).update(
        line_items=items,
        amounts={item["id"]: item["amount_subtotal"] for item in items},
        subscription_data=params.get("subscription_data", {}),
        discounts=params.get("discounts") or [],
        customer_update=params.get("customer_update", {}),
    )
    checkout_totals.read_features(session, params)
    checkout_totals.total_up(session)
    _customer_fields(session)
    if ui_mode == "hosted_page":
        session["url"] = f"{settings.BASE_URL}/stripe/checkout/{session['id']}"
    else:
        session["client_secret"] = f"{session['id']}_secret_{random_text(54)}"
    add(session)
    timeline.plan("expire", session["id"], session["expires_at"])
    return session


def _check_urls(params: Obj, ui_mode: str) -> None:
    if ui_mode == "hosted_page":
        forbidden, required = {"return_url"}, {"success_url"}
    else:
        forbidden, required = {"success_url", "cancel_url"}, {"return_url"}
    for name in sorted(forbidden & set(params)):
        raise invalid(f"You cannot use `{name}` when `ui_mode` is `{ui_mode}`.", name)
    for name in sorted(required - set(params)):
        raise missing_parameter(name)
    for name in ("success_url", "cancel_url", "return_url"):
        if name in params and not params[name].startswith(("http://", "https://")):
            raise invalid("Not a valid URL", name, "url_invalid")


def _expiry(params: Obj) -> int:
    moment = int(params.get("expires_at", timeline.now() + LONGEST))
    if moment < timeline.now() + SHORTEST - 60:
        raise invalid(
            "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.", "expires_at"
        )
    if moment > timeline.now() + LONGEST + 60:
        raise invalid(
            "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.", "expires_at"
        )
    return moment


def _line_items(params: Obj) -> list[Obj]:
    if not params.get("line_items"):
        raise missing_parameter("line_items")
    items = [_line_item(spec, f"line_items[{number}]") for number, spec in enumerate(params["line_items"])]
    if not all(item["price"]["recurring"] for item in items):
        raise invalid("The sandbox only sells recurring prices.", "line_items")
    if len({item["currency"] for item in items}) > 1:
        raise invalid("All line items must have the same currency.", "line_items")
    return items


def _line_item(spec: Obj, name: str) -> Obj:
    price = catalog.resolve_price(spec, name)
    quantity = spec.get("quantity", 1)
    if quantity < 1:
        words = "This value must be greater than or equal to 1."
        raise invalid(words, f"{name}[quantity]", "parameter_invalid_integer")
    product = find("product", price["product"]) or {}
    amount = pricing.amount(price, quantity)
    item = blank("item", price=dict(price), quantity=quantity, description=product.get("name"))
    item |= {"amount_subtotal": amount, "amount_total": amount, "currency": price["currency"]}
    return item | {"discounts": [], "taxes": []}


def _customer_fields(session: Obj) -> None:
    if session["customer"] is None:
        session["customer_creation"] = "always"
    if session["customer"] or session["customer_email"]:
        owner = find("customer", session["customer"]) or {}
        session["customer_details"] = details(owner.get("email") or session["customer_email"], owner.get("name"))


def details(email: str | None, name: str | None) -> Obj:
    return {
        "address": None,
        "business_name": None,
        "email": email,
        "individual_name": None,
        "name": name,
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": None,
    }


@route("POST /v1/checkout/sessions/{session}/expire")
def expire_now(_params: Obj, identifier: str) -> Obj:
    """End an open session."""
    session = get("checkout.session", identifier)
    if session["status"] != "open":
        raise invalid(
            f'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a status of `{session["status"]}`.'
        )
    expire(session)
    return session


def expire(session: Obj) -> None:
    """The session can no longer be paid."""
    session |= {"status": "expired", "url": None, "client_secret": None}
    timeline.plan("expire", session["id"], None)
    emit("checkout.session.expired", session)
