"""The user profile: which attributes there are, who may hold which value, and what happens to undeclared ones.

https://www.keycloak.org/docs/latest/server_admin/#user-profile
"""

import re
from typing import Any

from apps.sandbox.keycloak import realm
from apps.sandbox.keycloak.answers import RefusedError

Row = dict[str, Any]

NAMES = ("username", "email", "firstName", "lastName")
USERNAME = re.compile(r"[^<>&\"'\s$%!#?§,;:*~/\\|^=\[\]{}()`\x00-\x1f\x7f]+")
PERSON = re.compile(r"[^<>&\"$%!#?§;*~/\\|^=\[\]{}()\x00-\x1f\x7f]+")
EMAIL = re.compile(r"[^@\s\"<>()\[\],;:\\\x00-\x1f]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")


def check(values: dict[str, list[str]]) -> None:
    """Raise RefusedError (400) in Keycloak's form when a value breaks its attribute's validations."""
    complaints = [
        complaint
        for declared in realm.state()["profile"]["attributes"]
        for complaint in _complaints(declared, values.get(declared["name"], []))
    ]
    if len(complaints) == 1:
        raise RefusedError(400, complaints[0])
    if complaints:
        raise RefusedError(400, {"errors": complaints})


def _complaints(declared: Row, values: list[str]) -> list[Row]:
    name = declared["name"]
    found = []
    if len(values) > 1 and declared.get("multivalued") is not True:
        found.append({"field": name, "errorMessage": "error-invalid-multivalued-size", "params": [name, 0, 1]})
    rules: dict[str, Row] = declared.get("validations", {})
    for rule, config in sorted(rules.items(), key=lambda row: row[0] != "length"):
        for value in values:
            broken = _broken(rule, config, value)
            if broken is not None:
                found.append({"field": name, "errorMessage": broken[0], "params": [name, *broken[1]]})
    return found


def _broken(rule: str, config: Row, value: str) -> tuple[str, list[Any]] | None:
    if rule == "length":
        return _length(config, value)
    if not value:
        return None
    pattern, message = {
        "email": (EMAIL, "error-invalid-email"),
        "username-prohibited-characters": (USERNAME, "error-username-invalid-character"),
        "person-name-prohibited-characters": (PERSON, "error-person-name-invalid-character"),
    }.get(rule, (None, ""))
    if pattern is None or pattern.fullmatch(value):
        return None
    return message, [value] if rule == "email" else []


def _length(config: Row, value: str) -> tuple[str, list[Any]] | None:
    low, high = config.get("min"), config.get("max")
    if not value or (low or 0) <= len(value) <= (high if high is not None else len(value)):
        return None
    if low is None:
        return "error-invalid-length-too-long", [None, high]
    return "error-invalid-length", [low, high]


def kept(attributes: dict[str, list[str]]) -> dict[str, list[str]]:
    """Those of an administrator's attributes that are stored: declared ones, undeclared by policy, no empty values."""
    profile = realm.state()["profile"]
    declared = {row["name"] for row in profile["attributes"] if "admin" in row.get("permissions", {}).get("edit", [])}
    all_are = profile.get("unmanagedAttributePolicy") in {"ENABLED", "ADMIN_EDIT"}
    return {
        name: [value for value in values if value]
        for name, values in attributes.items()
        if name not in NAMES and (all_are or name in declared) and any(values)
    }


def values_of(given: object) -> list[str]:
    """One attribute's values as Keycloak reads them: a list of texts; a single text counts as a list of one."""
    rows = given if isinstance(given, list) else [given]
    return [str(row) for row in rows if row is not None]
