"""Products and prices."""

from apps.sandbox.stripe import pricing, timeline
from apps.sandbox.stripe.errors import invalid, missing_parameter
from apps.sandbox.stripe.events import change, emit
from apps.sandbox.stripe.records import Obj, add, blank, find, get, merge_metadata, new
from apps.sandbox.stripe.routing import route


def given(params: Obj, *names: str) -> Obj:
    """Those of `names` given; an empty text unsets."""
    return {name: (None if params[name] == "" else params[name]) for name in names if name in params}


@route("POST /v1/products")
def create_product(params: Obj) -> Obj:
    """A product."""
    if "id" in params and find("product", params["id"]):
        raise invalid(f"Product already exists: {params['id']}", "id", "resource_already_exists")
    product = blank("product", updated=timeline.now(), type="service")
    product |= given(
        params,
        "id",
        "name",
        "active",
        "description",
        "images",
        "marketing_features",
        "shippable",
        "statement_descriptor",
        "tax_code",
        "unit_label",
        "url",
    )
    merge_metadata(product, params.get("metadata"))
    add(product)
    emit("product.created", product)
    return product


@route("POST /v1/prices")
def create_price(params: Obj) -> Obj:
    """A price of a product, recurring or not: per unit, in packages, in tiers, by use or as the customer chooses."""
    if "product" not in params:
        raise missing_parameter("product")
    if not {"unit_amount", "unit_amount_decimal", "custom_unit_amount", "tiers"} & set(params):
        raise invalid("You must specify either `unit_amount` or `unit_amount_decimal` for a price.", "unit_amount")
    product = get("product", params["product"], "product")
    recurring = _recurring(params.get("recurring"))
    price = new(
        "price",
        currency=params["currency"].lower(),
        product=product["id"],
        recurring=recurring,
        type="recurring" if recurring else "one_time",
        **pricing.units(params),
    )
    price |= given(params, "active", "nickname", "tax_behavior", "billing_scheme", "tiers_mode", "transform_quantity")
    if "custom_unit_amount" in params:
        empty = {"maximum": None, "minimum": None, "preset": None}
        price["custom_unit_amount"] = {name: params["custom_unit_amount"].get(name) for name in empty}
    pricing.keep_tiers(price, params.get("tiers", []))
    pricing.keep_options(price, params.get("currency_options", {}))
    add(price)
    merge_metadata(price, params.get("metadata"))
    emit("price.created", price)
    return price


def _recurring(spec: Obj | None) -> Obj | None:
    if not spec:
        return None
    if "interval" not in spec:
        raise missing_parameter("recurring[interval]")
    return {
        "interval": spec["interval"],
        "interval_count": spec.get("interval_count", 1),
        "meter": spec.get("meter"),
        "trial_period_days": spec.get("trial_period_days"),
        "usage_type": spec.get("usage_type", "licensed"),
    }


def update_price(price: Obj, params: Obj) -> None:
    """Change what may change about a price: not its amount."""
    with change(price, "price.updated"):
        price.update(given(params, "active", "nickname", "tax_behavior"))
        merge_metadata(price, params.get("metadata"))


def resolve_price(spec: Obj, param: str) -> Obj:
    """The price an item names; ApiError 400 if unknown or inactive."""
    if "price" not in spec:
        raise missing_parameter(f"{param}[price]")
    price = get("price", spec["price"], f"{param}[price]")
    product = find("product", price["product"])
    if not price["active"] or (product is not None and not product["active"]):
        raise invalid("The price specified is inactive. This field only accepts active prices.", f"{param}[price]")
    return price
