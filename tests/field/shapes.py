"""Objects in every shape that Stripe's OpenAPI document allows, and some that it does not allow yet.

A shape is a base (minimal: what is required, null where that is allowed; nulls: every field, null where allowed; full: every
field with a value) and one change at one path: the field absent, null, minimal, full, or an enum's value that is new.
"""

import functools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.sandbox.stripe_schema import PREFIX, read_document

BASES = ("minimal", "nulls", "full")
NEW_VALUE = "a_value_that_is_new"
DEEPEST = 3  # how deep whole objects are made; below, what may be an id is one
NOT_CHANGED = {"object", "id"}  # what says which object it is
TEXTS = ("", "x", "Zoë & Łukasz (GmbH) / 漢字 🦊", "<b>{{ 7*7 }}</b>", "long " * 600)
DECIMAL_NAMES = ("_decimal", "fx_rate", "metric_tons", "metric_tons_available", "percent_ownership", "quantity")
DECIMALS = ("0.5", "500", "0.000000000001")
NUMBERS = (0, 1, 7, 500, 999_999_999_999)
YEAR = 31_536_000


@dataclass(frozen=True)
class Change:
    """What is odd about one object: `how` is absent, null, minimal, full or new, at `path`; empty: nothing."""

    path: str = ""
    how: str = ""

    def about(self, path: str) -> str:
        return self.how if self.path == path else ""

    def inside(self, path: str) -> bool:
        """Whether the change is somewhere below `path`."""
        return self.path.startswith(f"{path}.")


@dataclass
class Maker:
    """Makes objects around `now` (Unix seconds); `chance` fills in what the document leaves open."""

    now: int
    chance: random.Random
    base: str = "minimal"
    change: Change = Change()

    def make(self, kind: str) -> Any:
        return self._value({"$ref": f"{PREFIX}#/components/schemas/{schema_name(kind)}"}, "", self.base, 0)

    def _value(self, schema: dict[str, Any], path: str, base: str, depth: int) -> Any:
        how = self.change.about(path)
        options, nullable = alternatives(schema)
        base = how if how in BASES else "minimal" if depth > DEEPEST and not self.change.inside(path) else base
        if how == "null" or (nullable and base != "full" and how not in BASES and not self.change.inside(path)):
            return None
        objects = [one for one in options if is_object(one)]
        chosen = objects[0] if objects and (how or self.change.inside(path)) else options[0]
        if is_object(chosen):
            return self._object(resolve(chosen), path, base, depth)
        return self._simple(chosen, path, base, depth)

    def _object(self, schema: dict[str, Any], path: str, base: str, depth: int) -> dict[str, Any]:
        needed = set(schema.get("required", ()))
        made: dict[str, Any] = {}
        for name, inner in schema.get("properties", {}).items():
            below = f"{path}.{name}" if path else name
            how = self.change.about(below)
            if how == "absent":
                continue
            if name in needed or base != "minimal" or how or self.change.inside(below):
                made[name] = self._value(inner, below, base, depth + 1)
        if base == "full" and isinstance(schema.get("additionalProperties"), dict):
            made["usd"] = self._value(schema["additionalProperties"], f"{path}.usd", base, depth + 1)
        if base == "full" and schema.get("properties"):
            made["a_field_that_is_new"] = {"deep": [None, {"object": "new"}]}
        return made

    def _simple(self, schema: dict[str, Any], path: str, base: str, depth: int) -> Any:
        if "enum" in schema:
            return NEW_VALUE if self.change.about(path) == "new" else self.chance.choice(schema["enum"])
        kind, name = schema.get("type"), path.rsplit(".", 1)[-1]
        if kind == "array":
            wanted = base == "full" or self.change.inside(path)
            return [self._value(schema["items"], f"{path}.0", base, depth + 1)] if wanted and depth <= DEEPEST else []
        if kind == "integer":
            is_moment = name.endswith(("_at", "_end", "_start", "_date", "_anchor")) or name in {
                "created",
                "end",
                "start",
            }
            return self.now + self.chance.randint(-2 * YEAR, YEAR) if is_moment else self.chance.choice(NUMBERS)
        if kind == "number":
            return self.chance.choice((0, 0.5, 12.75))
        if kind == "boolean":
            return self.chance.random() < 0.5
        if name == "id":
            return f"x_{self.chance.getrandbits(64)}"
        return self.chance.choice(DECIMALS if name.endswith(DECIMAL_NAMES) else TEXTS)


@functools.cache
def schemas() -> dict[str, Any]:
    return dict(read_document()["schemas"])


@functools.cache
def schema_name(kind: str) -> str:
    return next((name for name, one in schemas().items() if one.get("x-resourceId") == kind), kind)


def resolve(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = schemas()[schema["$ref"].rsplit("/", 1)[-1]]
    return schema


def is_object(schema: dict[str, Any]) -> bool:
    found = resolve(schema)
    return found.get("type") == "object" or "properties" in found


def alternatives(schema: dict[str, Any]) -> tuple[list[dict[str, Any]], bool]:
    """What a value may be besides null, and whether it may be null."""
    nullable, found = False, []
    for one in schema.get("anyOf", [schema]):
        if one.get("type") == "null" or one.get("enum") == [""]:
            nullable |= one.get("type") == "null"
        elif "anyOf" in one:
            inner, also = alternatives(one)
            nullable, found = nullable or also, found + inner
        else:
            found.append(one)
    return found or [{"type": "string"}], nullable


@functools.cache
def changes(kind: str) -> tuple[Change, ...]:
    """Every change of one object of this kind: each optional field absent, null, minimal and full, each enum's new value."""
    return tuple(_changes({"$ref": f"{PREFIX}#/components/schemas/{schema_name(kind)}"}, "", needed=True, depth=0))


def _changes(schema: dict[str, Any], path: str, *, needed: bool, depth: int) -> Iterator[Change]:
    options, nullable = alternatives(schema)
    if path.rsplit(".", 1)[-1] in NOT_CHANGED or depth > DEEPEST:
        return
    ways = {
        "absent": not needed,
        "null": nullable,
        "minimal": bool(path) and (nullable or not needed),
        "full": bool(path) and (nullable or not needed),
        "new": any(len(one.get("enum", ())) > 1 for one in options),
    }
    yield from (Change(path, how) for how, exists in ways.items() if exists)
    inside = resolve(options[0])
    for name, inner in inside.get("properties", {}).items():
        below = f"{path}.{name}" if path else name
        yield from _changes(inner, below, needed=name in inside.get("required", ()), depth=depth + 1)
    if inside.get("type") == "array":
        yield from _changes(inside["items"], f"{path}.0", needed=True, depth=depth + 1)
