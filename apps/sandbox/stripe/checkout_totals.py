"""What a Checkout Session comes to: its lines, less discounts, with tax, nothing at first in a trial; and what its page may change."""

from apps.sandbox.stripe import coupons, taxes, timeline
from apps.sandbox.stripe.errors import ApiError, invalid
from apps.sandbox.stripe.records import Obj, every, find, private, root

TAX_STATES = {True: "complete", False: "requires_location_inputs"}


def read_features(session: Obj, params: Obj) -> None:
    """What the session offers beside the payment; ApiError 400 where Stripe refuses the combination."""
    update = params.get("customer_update", {})
    if update and "customer" not in params:
        raise invalid("`customer_update` can only be used with `customer`.", "customer_update")
    if params.get("allow_promotion_codes") and params.get("discounts"):
        raise invalid("You may only specify one of these parameters: allow_promotion_codes, discounts.")
    if params.get("automatic_tax", {}).get("enabled"):
        _allow_tax(session, update)
    if params.get("tax_id_collection", {}).get("enabled"):
        if session["customer"] and update.get("name") != "auto":
            raise invalid(
                "Tax ID collection requires updating business name on the customer. To enable tax ID collection for an existing"
                " customer, please set `customer_update[name]` to `auto`.",
                "customer_update[name]",
            )
        session["tax_id_collection"] = {"enabled": True, "required": "never"}
    if "custom_text" in params:
        session["custom_text"] = session["custom_text"] | params["custom_text"]
    if "branding_settings" in params:
        session["branding_settings"] = {
            "background_color": "#ffffff", "border_style": "rounded", "button_color": "#0074d4", "font_family": "default",
            "display_name": "Sandbox",
        } | params["branding_settings"]  # fmt: skip


def _allow_tax(session: Obj, update: Obj) -> None:
    if root()["settings"]["tax"] != "active":
        raise invalid("You must have a valid head office address to enable automatic tax calculation in test mode.")
    owner = find("customer", session["customer"])
    if owner is not None and not taxes.country_of(owner) and update.get("address") != "auto":
        raise invalid(
            "Automatic tax calculation in Checkout requires a valid address on the Customer. Add a valid address to the Customer or"
            " set either `customer_update[address]` to 'auto' or `customer_update[shipping]` to 'auto' to save the address entered"
            " in Checkout to the Customer.",
            "customer_update[address]",
            "customer_tax_location_invalid",
        )
    session["automatic_tax"] = {
        "enabled": True,
        "liability": {"type": "self"},
        "provider": "stripe",
        "status": TAX_STATES[bool(taxes.country_of(owner))],
    }


def trial_end(session: Obj) -> int | None:
    """When the trial of a session that is completed now would end."""
    data = private(session["id"])["subscription_data"]
    if "trial_period_days" in data:
        return timeline.now() + int(data["trial_period_days"]) * 86_400
    return int(data["trial_end"]) if "trial_end" in data else None


def needs_card(session: Obj) -> bool:
    """Whether the page asks for a card: not for nothing, where the session says so."""
    return bool(session["amount_total"]) or session["payment_method_collection"] != "if_required"


def total_up(session: Obj) -> None:
    """Write on the session what is paid when it is completed."""
    notes = private(session["id"])
    items, free = notes["line_items"], trial_end(session) is not None
    for item in items:
        full = 0 if free else notes["amounts"][item["id"]]
        item |= {"amount_subtotal": full, "amount_total": full, "amount_discount": 0, "amount_tax": 0}
    total = sum(item["amount_subtotal"] for item in items)
    given = [coupons.named(spec) for spec in notes["discounts"]]
    off = _discount(items, [coupon for coupon, _ in given])
    tax, added = _tax(session, items) if session["automatic_tax"]["enabled"] else (0, 0)
    session |= {"currency": items[0]["currency"], "amount_subtotal": total, "amount_total": total - off + added}
    session["discounts"] = [{"coupon": coupon["id"], "promotion_code": code} for coupon, code in given]
    session["total_details"] = {"amount_discount": off, "amount_shipping": 0, "amount_tax": tax}


def _discount(items: list[Obj], given: list[Obj]) -> int:
    """Take the coupons off the lines; how much that is in all."""
    for coupon in given:
        left = coupon["amount_off"]
        for item in items:
            off = coupons.reduction(coupon, item["amount_total"], left)
            left = None if left is None else left - off
            item["amount_discount"] += off
            item["amount_total"] -= off
    return sum(item["amount_discount"] for item in items)


def _tax(session: Obj, items: list[Obj]) -> tuple[int, int]:
    """The tax of the lines, and what of it comes on top of their prices."""
    country = private(session["id"]).get("country") or taxes.country_of(find("customer", session["customer"]))
    session["automatic_tax"]["status"] = TAX_STATES[bool(country)]
    added = 0
    for item in items:
        behavior = taxes.behavior_of(item["price"])
        item["amount_tax"] = taxes.tax_of(item["amount_total"], country, behavior)
        if behavior == "exclusive":
            item["amount_total"] += item["amount_tax"]
            added += item["amount_tax"]
    return sum(item["amount_tax"] for item in items), added


def fill_in(session: Obj, *, country: str, code: str, tax_id: str) -> None:
    """What somebody has filled in on the page beside the card; ApiError for a promotion code that is none."""
    notes = private(session["id"])
    if session["automatic_tax"]["enabled"] and country:
        notes["country"] = country[:2].upper()
    if session["allow_promotion_codes"]:
        found = next((one for one in every("promotion_code") if one["code"].upper() == code.upper()), None)
        if code and (found is None or not found["active"]):
            raise ApiError(400, "This code is invalid.")
        notes["discounts"] = [{"promotion_code": found["id"]}] if found else []
    if (session.get("tax_id_collection") or {}).get("enabled"):
        notes["tax_id"] = tax_id[:40]
    total_up(session)
