"""Stripe's lists: newest first, cut into pages by cursor (docs.stripe.com/api/pagination)."""

from typing import Any

from apps.sandbox.stripe.errors import invalid, no_such
from apps.sandbox.stripe.records import Obj


def listing(data: list[Obj], url: str) -> Obj:
    """A whole nested list."""
    return {"object": "list", "data": data, "has_more": False, "total_count": len(data), "url": url}


def page(found: list[Obj], params: Obj, url: str) -> Obj:
    """One page of `found` (oldest first) as `limit`, `starting_after` and `ending_before` ask."""
    limit = params.get("limit", 10)
    if not 1 <= limit <= 100:
        raise invalid("Invalid integer: limit must be between 1 and 100", "limit", "parameter_invalid_integer")
    newest = [thing for thing in reversed(found) if _created_fits(thing, params.get("created"))]
    before = "ending_before" in params
    if before:
        newest = newest[: _position(newest, params["ending_before"], "ending_before")]
        chosen = newest[-limit:]
    else:
        if "starting_after" in params:
            newest = newest[_position(newest, params["starting_after"], "starting_after") + 1 :]
        chosen = newest[:limit]
    return {"object": "list", "data": chosen, "has_more": len(newest) > len(chosen), "url": url}


def _position(things: list[Obj], identifier: str, param: str) -> int:
    for place, thing in enumerate(things):
        if thing["id"] == identifier:
            return place
    raise no_such(things[0]["object"] if things else "object", identifier, param)


def _created_fits(thing: Obj, spec: Any) -> bool:
    if spec is None:
        return True
    made = thing["created"]
    if isinstance(spec, int):
        return bool(made == spec)
    tests = {"gt": made.__gt__, "gte": made.__ge__, "lt": made.__lt__, "lte": made.__le__}
    return all(tests[name](value) for name, value in spec.items())


def matching(found: list[Obj], params: Obj, *fields: str) -> list[Obj]:
    """Those whose fields equal the given parameters of the same name."""
    wanted = {field: params[field] for field in fields if field in params}
    return [thing for thing in found if all(thing.get(field) == value for field, value in wanted.items())]
