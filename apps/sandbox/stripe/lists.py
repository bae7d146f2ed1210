"""Stripe's lists: newest first, cut into pages by cursor (docs.stripe.com/api/pagination), and its search results."""

import re
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


def _created_fits(thing: Obj, wish: Any) -> bool:
    if wish is None:
        return True
    made = thing["created"]
    if isinstance(wish, int):
        return bool(made == wish)
    tests = {"gt": made.__gt__, "gte": made.__ge__, "lt": made.__lt__, "lte": made.__le__}
    return all(tests[name](value) for name, value in wish.items())


def matching(found: list[Obj], params: Obj, *fields: str) -> list[Obj]:
    """Those whose fields equal the parameters of the same name that were given."""
    wanted = {field: params[field] for field in fields if field in params}
    return [thing for thing in found if all(thing.get(field) == value for field, value in wanted.items())]


def search(found: list[Obj], params: Obj, url: str) -> Obj:
    """A search result for queries of `field:"value"`, `field~"part"`, `metadata["key"]:"value"` joined by AND."""
    clauses = re.split(r"\s+AND\s+|\s+(?=[-\w])(?![^\"']*[\"'](?:\s|$))", params["query"].strip())
    tests = [_clause(clause) for clause in clauses if clause]
    chosen = [thing for thing in reversed(found) if all(_holds(thing, *test) for test in tests)]
    limit = params.get("limit", 10)
    start = int(params.get("page") or 0)
    rest = chosen[start:]
    more = len(rest) > limit
    follow = str(start + limit) if more else None
    return {
        "object": "search_result",
        "data": rest[:limit],
        "has_more": more,
        "next_page": follow,
        "url": url,
    }


def _clause(text: str) -> tuple[bool, str, str, str]:
    pattern = r"(-?)(metadata\[[\"'][^\"']+[\"']\]|[\w.]+)\s*([:~<>]=?)\s*[\"']?([^\"']*)[\"']?"
    parts = re.fullmatch(pattern, text.strip())
    if parts is None:
        raise invalid(f"We were unable to parse your search query: {text}", "query")
    negated, field, sign, value = parts.groups()
    return bool(negated), field, sign, value


def _holds(thing: Obj, negated: bool, field: str, sign: str, value: str) -> bool:
    have = thing.get("metadata", {}).get(field[10:-2]) if field.startswith("metadata[") else thing.get(field)
    if sign == ":":
        held = have is None if value == "null" else str(have).lower() == value.lower()
    elif sign == "~":
        held = value.lower() in str(have or "").lower()
    else:
        held = _compared(have, sign, value)
    return held != negated


def _compared(have: Any, sign: str, value: str) -> bool:
    if not isinstance(have, int) or not value.isdigit():
        return False
    limit = int(value)
    return {">": have > limit, ">=": have >= limit, "<": have < limit, "<=": have <= limit}[sign]
