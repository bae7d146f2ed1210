"""Coupons and the promotion codes customers type for them."""

from apps.sandbox.stripe import lists
from apps.sandbox.stripe.catalogue import given
from apps.sandbox.stripe.errors import invalid
from apps.sandbox.stripe.events import change, emit
from apps.sandbox.stripe.records import (
    Obj,
    add,
    blank,
    every,
    forget,
    get,
    merge_metadata,
    random_text,
)
from apps.sandbox.stripe.routing import route


@route("POST /v1/coupons")
def create_coupon(params: Obj) -> Obj:
    """A coupon of a percentage or an amount."""
    if ("percent_off" in params) == ("amount_off" in params):
        raise invalid("Must provide exactly one of `percent_off` or `amount_off`.")
    coupon = blank("coupon")
    coupon |= given(
        params,
        "id",
        "percent_off",
        "amount_off",
        "currency",
        "duration",
        "duration_in_months",
        "max_redemptions",
        "name",
        "redeem_by",
    )
    merge_metadata(coupon, params.get("metadata"))
    emit("coupon.created", add(coupon))
    return coupon


@route("POST /v1/coupons/{coupon}")
def update_coupon(params: Obj, identifier: str) -> Obj:
    """Rename a coupon."""
    coupon = get("coupon", identifier)
    with change(coupon, "coupon.updated"):
        coupon.update(given(params, "name"))
        merge_metadata(coupon, params.get("metadata"))
    return coupon


@route("GET /v1/coupons")
def list_coupons(params: Obj) -> Obj:
    """All coupons."""
    return lists.page(every("coupon"), params, "/v1/coupons")


@route("GET /v1/coupons/{coupon}")
def get_coupon(_params: Obj, identifier: str) -> Obj:
    """One coupon."""
    return get("coupon", identifier)


@route("DELETE /v1/coupons/{coupon}")
def delete_coupon(_params: Obj, identifier: str) -> Obj:
    """Delete a coupon; discounts already given stay."""
    coupon = get("coupon", identifier)
    forget("coupon", identifier)
    emit("coupon.deleted", coupon)
    return {"id": identifier, "object": "coupon", "deleted": True}


@route("POST /v1/promotion_codes")
def create_promotion_code(params: Obj) -> Obj:
    """A code customers type for a coupon."""
    promotion = params["promotion"]
    coupon = get("coupon", promotion.get("coupon"), "promotion[coupon]")
    code = blank(
        "promotion_code",
        code=params.get("code") or random_text(8).upper(),
        promotion={"coupon": coupon["id"], "type": "coupon"},
    )
    code |= given(params, "active", "customer", "expires_at", "max_redemptions")
    merge_metadata(code, params.get("metadata"))
    emit("promotion_code.created", add(code))
    return code


@route("POST /v1/promotion_codes/{promotion_code}")
def update_promotion_code(params: Obj, identifier: str) -> Obj:
    """Switch a code on or off."""
    code = get("promotion_code", identifier)
    with change(code, "promotion_code.updated"):
        code.update(given(params, "active"))
        merge_metadata(code, params.get("metadata"))
    return code


@route("GET /v1/promotion_codes")
def list_promotion_codes(params: Obj) -> Obj:
    """Codes by their text, activity or customer."""
    found = lists.matching(every("promotion_code"), params, "active", "code", "customer")
    if "coupon" in params:
        found = [code for code in found if code["promotion"]["coupon"] == params["coupon"]]
    return lists.page(found, params, "/v1/promotion_codes")


@route("GET /v1/promotion_codes/{promotion_code}")
def get_promotion_code(_params: Obj, identifier: str) -> Obj:
    """One code."""
    return get("promotion_code", identifier)
