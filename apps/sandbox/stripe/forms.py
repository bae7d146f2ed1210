"""Requests as Stripe reads them: bracketed form pairs into values, held against `parameters.json`.

`parameters.json` lists for each address what Stripe's OpenAPI document (MIT, Copyright (c) 2011- Stripe, Inc.) accepts
there: "required" names and "params", each a type: a primitive's name, "a|b" for one of these words, [type] for a list,
{name: type} for an object, {"*": type} for a map, {"|": [types]} for alternatives, "any" for what is not looked into.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from apps.sandbox.stripe.errors import ApiError, invalid, missing_parameter, unknown_parameter

PARAMETERS: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "parameters.json").read_text())
PRIMITIVES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "string": (r".{0,5000}", str),
    "integer": (r"-?[0-9]{1,15}", int),
    "number": (r"-?[0-9]{1,15}(\.[0-9]{1,12})?", float),
    "boolean": (r"true|false", lambda text: text == "true"),
}
DEEPEST = 12


def read(encoded: str, operation: str) -> dict[str, Any]:
    """The parameters of a request to `operation` ("POST /v1/customers"); ApiError 400 for what Stripe refuses."""
    table = PARAMETERS[operation]
    try:
        pairs = parse_qsl(encoded, keep_blank_values=True, max_num_fields=5000, errors="strict")
    except ValueError as error:
        raise invalid("Invalid request: the parameters could not be decoded.") from error
    params: dict[str, Any] = _checked(_nested(pairs), table["params"], "")
    for name in table["required"]:
        if params.get(name) in (None, ""):
            raise missing_parameter(name)
    return params


def _nested(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in pairs:
        parts = key.replace("]", "").split("[")
        if len(parts) > DEEPEST or "\x00" in key + value:
            raise invalid(f"Invalid parameter: {key[:80]!r}")
        node: Any = tree
        for part in parts[:-1]:
            node = node.setdefault(part or str(len(node)), {})
            if not isinstance(node, dict):
                raise invalid(f"Invalid hash: {key[:80]}", key)
        last = parts[-1] or str(len(node))
        if isinstance(node.get(last), dict):
            raise invalid(f"Invalid hash: {key[:80]}", key)
        node[last] = value
    return tree


def _checked(value: Any, kind: Any, name: str) -> Any:
    if kind == "any":
        return value
    if isinstance(kind, str):
        return _primitive(value, kind, name)
    if isinstance(kind, list):
        return _list(value, kind[0], name)
    if "|" in kind:
        return _alternative(value, kind["|"], name)
    return _object(value, kind, name)


def _object(value: Any, kind: dict[str, Any], name: str) -> Any:
    if not isinstance(value, dict):
        raise invalid("Invalid object", name, "parameter_invalid_object")
    made: dict[str, Any] = {}
    for key, inner in value.items():
        inner_name = f"{name}[{key}]" if name else key
        inner_kind = kind.get(key, kind.get("*"))
        if inner_kind is None or key in {"*", "|"}:
            raise unknown_parameter(inner_name)
        made[key] = _checked(inner, inner_kind, inner_name)
    return made


def _list(value: Any, kind: Any, name: str) -> Any:
    if value == "":
        return []
    if not isinstance(value, dict) or not all(re.fullmatch(r"\d{1,4}", key) for key in value):
        raise invalid("Invalid array", name, "parameter_invalid_array")
    return [_checked(value[key], kind, f"{name}[{key}]") for key in sorted(value, key=int)]


def _alternative(value: Any, kinds: list[Any], name: str) -> Any:
    problems: list[ApiError] = []
    for kind in kinds:
        try:
            return _checked(value, kind, name)
        except ApiError as problem:
            problems.append(problem)
    fits = [isinstance(value, dict) == isinstance(kind, dict | list) for kind in kinds]
    raise problems[fits.index(True) if True in fits else 0]


def _primitive(value: Any, kind: str, name: str) -> Any:
    if not isinstance(value, str):
        wanted = kind if kind in PRIMITIVES else "string"
        raise invalid(f"Invalid {wanted}: {json.dumps(value)[:80]}", name)
    if kind not in PRIMITIVES:
        return _word(value, kind.split("|"), name)
    pattern, made = PRIMITIVES[kind]
    if not re.fullmatch(pattern, value, re.DOTALL):
        code = "parameter_invalid_integer" if kind == "integer" else None
        raise invalid(f"Invalid {kind}: {value[:80]}", name, code)
    return made(value)


def _word(value: str, words: list[str], name: str) -> str:
    if value not in words:
        known = [word for word in words if word]
        listed = ", ".join(known[:-1]) + (", or " if known[1:] else "") + "".join(known[-1:])
        raise invalid(f"Invalid {name}: must be one of {listed}", name)
    return value
