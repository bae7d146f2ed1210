"""`expand[]`: ids replaced by the objects they name, and the fields Stripe shows only when asked for (docs.stripe.com/api/expanding_objects)."""

from collections.abc import Callable

from apps.sandbox.stripe import lists, pricing
from apps.sandbox.stripe.errors import invalid
from apps.sandbox.stripe.records import IDS, Obj, copied, every, find, private
from apps.sandbox.stripe.rights import check_right

DEEPEST = 4
NEVER = {"id", "object", "url", "client_secret", "client_reference_id", "metadata", "status"}


def _payments(invoice: Obj) -> Obj:
    own = [made for made in every("invoice_payment") if made["invoice"] == invoice["id"]]
    return lists.listing(own, f"/v1/invoice_payments?invoice={invoice['id']}")


def _refunds(charge: Obj) -> Obj:
    own = [made for made in every("refund") if made["charge"] == charge["id"]]
    return lists.listing(own[::-1], f"/v1/charges/{charge['id']}/refunds")


def _coupon(source: Obj) -> object:
    """The coupon of a discount or a promotion code; of a deleted one the id stays."""
    check_right("coupon_read")
    named = source.get("coupon")
    return find("coupon", named) or named if isinstance(named, str) else named


ON_REQUEST: dict[tuple[str, str], Callable[[Obj], object]] = {
    ("invoice", "payments"): _payments,
    ("charge", "refunds"): _refunds,
    ("price", "currency_options"): pricing.options,
    ("price", "tiers"): lambda price: private(price["id"]).get("tiers") or None,
}


def expanded(answer: Obj, paths: list[str]) -> Obj:
    """A copy of `answer` with every path of `paths` expanded; ApiError 400 for what cannot be."""
    made = copied(answer)
    for path in paths:
        steps = path.split(".")
        if len([step for step in steps if step != "data"]) > DEEPEST:
            raise invalid(f"You cannot expand more than {DEEPEST} levels of a property: {path}", "expand")
        _expand(made, steps, path)
    return made


def _expand(node: object, steps: list[str], path: str) -> None:
    if isinstance(node, list):
        for each in node:
            _expand(each, steps, path)
        return
    if not steps or not isinstance(node, dict):
        return
    field = steps[0]
    special = _coupon if field == "coupon" else ON_REQUEST.get((node.get("object", ""), field))
    if special is not None:
        node[field] = copied(special(node))
    elif field in NEVER or (field not in node and not _may_be_absent(node)):
        raise invalid(f"This property cannot be expanded ({path}).", "expand")
    elif isinstance(node.get(field), str):
        node[field] = _looked_up(node[field], path)
    elif isinstance(node.get(field), list):
        node[field] = [_looked_up(each, path) if isinstance(each, str) else each for each in node[field]]
    _expand(node.get(field), steps[1:], path)


def _may_be_absent(node: Obj) -> bool:
    return "object" not in node or node.get("deleted") is True


def _looked_up(identifier: str, path: str) -> Obj:
    kinds = [kind for kind, (start, _) in IDS.items() if start and identifier.startswith(start)]
    for kind in kinds:
        check_right(f"{kind}_read")
        found = find(kind, identifier)
        if found is not None:
            return copied(found)
    if kinds in (["customer"], ["product"]):
        return {"id": identifier, "object": kinds[0], "deleted": True}
    raise invalid(f"This property cannot be expanded ({path}).", "expand")
