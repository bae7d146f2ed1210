"""Checkout Sessions: their rules, what completing one does, their end (docs.stripe.com/api/checkout/sessions)."""

from apps.sandbox import settings
from apps.sandbox.stripe import catalogue, lists, timeline
from apps.sandbox.stripe.errors import invalid, missing_parameter
from apps.sandbox.stripe.events import emit
from apps.sandbox.stripe.records import (
    Obj,
    add,
    blank,
    every,
    find,
    get,
    merge_metadata,
    private,
    random_text,
)
from apps.sandbox.stripe.routing import route

TEMPLATE = "{CHECKOUT_SESSION_ID}"
SHORTEST, LONGEST = 30 * 60, 24 * 3600
SETTLE_SECONDS = 4 * 86_400
PLAIN = (
    "client_reference_id",
    "customer_email",
    "success_url",
    "cancel_url",
    "return_url",
    "allow_promotion_codes",
    "billing_address_collection",
    "locale",
    "submit_type",
    "redirect_on_completion",
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
    items = _line_items(params, mode)
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
    _price(session, items, params)
    _mode_fields(session, params)
    private(session["id"]).update(
        line_items=items,
        subscription_data=params.get("subscription_data", {}),
        payment_intent_data=params.get("payment_intent_data", {}),
    )
    if ui_mode == "hosted_page":
        session["url"] = f"{settings.BASE_URL}/stripe/checkout/{session['id']}"
    else:
        session["client_secret"] = f"{session['id']}_secret_{random_text(54)}"
    add(session)
    timeline.plan("expire", session["id"], session["expires_at"], customer["test_clock"] if customer else None)
    return session


def _check_urls(params: Obj, ui_mode: str) -> None:
    never = params.get("redirect_on_completion") == "never"
    if ui_mode == "hosted_page":
        forbidden, required = {"return_url"}, {"success_url"}
    elif never:
        forbidden, required = {"success_url", "cancel_url", "return_url"}, set()
    else:
        forbidden, required = {"success_url", "cancel_url"}, {"return_url"}
    for name in sorted(forbidden & set(params)):
        mode = f"`ui_mode` is `{ui_mode}`" + (" and it never redirects" if never else "")
        raise invalid(f"You cannot use `{name}` when {mode}.", name)
    for name in sorted(required - set(params)):
        raise missing_parameter(name)
    for name in ("success_url", "cancel_url", "return_url"):
        if name in params and not params[name].startswith(("http://", "https://")):
            raise invalid("Not a valid URL", name, "url_invalid")


def _expiry(params: Obj) -> int:
    moment = int(params.get("expires_at", timeline.now() + LONGEST))
    if moment < timeline.now() + SHORTEST - 60:
        raise invalid(
            "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.",
            "expires_at",
        )
    if moment > timeline.now() + LONGEST + 60:
        raise invalid(
            "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.",
            "expires_at",
        )
    return moment


def _line_items(params: Obj, mode: str) -> list[Obj]:
    if mode == "setup":
        if "line_items" in params:
            raise invalid("You cannot pass `line_items` in `setup` mode.", "line_items")
        return []
    if not params.get("line_items"):
        raise missing_parameter("line_items")
    items = [_line_item(wish, f"line_items[{number}]") for number, wish in enumerate(params["line_items"])]
    recurring = [item for item in items if item["price"]["recurring"]]
    if mode == "payment" and recurring:
        words = "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or use only one-time prices."
        raise invalid(words, "mode")
    if mode == "subscription" and not recurring:
        words = "You must provide at least one recurring price in `subscription` mode when using prices."
        raise invalid(words, "line_items")
    if len({item["currency"] for item in items}) > 1:
        raise invalid("All line items must have the same currency.", "line_items")
    return items


def _line_item(wish: Obj, name: str) -> Obj:
    price = catalogue.resolve_price(wish, name)
    quantity = wish.get("quantity", 1)
    if quantity < 1:
        words = "This value must be greater than or equal to 1."
        raise invalid(words, f"{name}[quantity]", "parameter_invalid_integer")
    product = find("product", price["product"]) or {}
    amount = price["unit_amount"] * quantity
    item = blank("item", price=dict(price), quantity=quantity, description=product.get("name"))
    item |= {"amount_subtotal": amount, "amount_total": amount, "currency": price["currency"]}
    return item | {"discounts": [], "taxes": []}


def _price(session: Obj, items: list[Obj], params: Obj) -> None:
    if not items:
        session["currency"] = params.get("currency")
        return
    coupon, code = _discount(params)
    trial = trial_end(params.get("subscription_data", {})) is not None
    for item in items:
        if trial and item["price"]["recurring"]:
            item |= {"amount_subtotal": 0, "amount_total": 0}
        off = round(item["amount_subtotal"] * coupon["percent_off"] / 100) if coupon and coupon["percent_off"] else 0
        item |= {"amount_discount": off, "amount_total": item["amount_subtotal"] - off}
    subtotal = sum(item["amount_subtotal"] for item in items)
    off = sum(item["amount_discount"] for item in items)
    if coupon and coupon["amount_off"]:
        off = min(subtotal, coupon["amount_off"])
    session |= {
        "currency": items[0]["currency"],
        "amount_subtotal": subtotal,
        "amount_total": subtotal - off,
    }
    session["total_details"] = {"amount_discount": off, "amount_shipping": 0, "amount_tax": 0}
    if coupon:
        session["discounts"] = [
            {
                "coupon": None if code else coupon["id"],
                "promotion_code": code["id"] if code else None,
            }
        ]
        private(session["id"])["coupon"] = [coupon["id"], code["id"] if code else None]


def _discount(params: Obj) -> tuple[Obj | None, Obj | None]:
    for wish in params.get("discounts", []):
        if "promotion_code" in wish:
            code = get("promotion_code", wish["promotion_code"], "discounts[0][promotion_code]")
            return get("coupon", code["promotion"]["coupon"]), code
        return get("coupon", wish.get("coupon"), "discounts[0][coupon]"), None
    return None, None


def _mode_fields(session: Obj, params: Obj) -> None:
    mode = session["mode"]
    if session["amount_total"] == 0 and session.get("payment_method_collection") == "if_required":
        session["payment_status"] = "unpaid"
    if mode != "subscription":
        session["payment_method_collection"] = "if_required" if mode == "payment" else "always"
        if "subscription_data" in params:
            raise invalid("You can not pass `subscription_data` in this mode.", "subscription_data")
    if mode == "payment" and session["customer"] is None:
        session["customer_creation"] = params.get("customer_creation", "if_required")
    elif mode == "subscription" and session["customer"] is None:
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


def trial_end(data: Obj) -> int | None:
    """When the trial these subscription_data ask for ends."""
    if "trial_end" in data:
        return int(data["trial_end"])
    if data.get("trial_period_days"):
        return timeline.now() + int(data["trial_period_days"]) * 86_400
    return None


@route("POST /v1/checkout/sessions/{session}")
def update_session(params: Obj, identifier: str) -> Obj:
    """Change a session's metadata."""
    session = get("checkout.session", identifier)
    merge_metadata(session, params.get("metadata"))
    return session


@route("GET /v1/checkout/sessions")
def list_sessions(params: Obj) -> Obj:
    """Sessions by customer, status, subscription, payment intent."""
    found = lists.matching(every("checkout.session"), params, "customer", "status", "subscription", "payment_intent")
    if "customer_details" in params:
        wanted = params["customer_details"].get("email")
        found = [session for session in found if (session["customer_details"] or {}).get("email") == wanted]
    return lists.page(found, params, "/v1/checkout/sessions")


@route("GET /v1/checkout/sessions/{session}")
def get_session(_params: Obj, identifier: str) -> Obj:
    """One session."""
    return get("checkout.session", identifier)


@route("GET /v1/checkout/sessions/{session}/line_items")
def list_line_items(params: Obj, identifier: str) -> Obj:
    """What a session sells."""
    get("checkout.session", identifier)
    return lists.page(
        private(identifier)["line_items"][::-1],
        params,
        f"/v1/checkout/sessions/{identifier}/line_items",
    )


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
