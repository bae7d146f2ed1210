"""A realm as a file: `config/keycloak/realm.json`, and the rehearsal's. Nothing here needs settings.

Addresses and secrets in it are `${NAME:default}`, which Keycloak's own import fills from its environment (seen on 26.7.3);
`filled` does the same for those who send the file by the Admin API.
"""

import json
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PRODUCTION = Path(__file__).resolve().parents[2] / "config/keycloak/realm.json"
PLACEHOLDER = re.compile(r"\$\{(?P<name>[A-Z][A-Z0-9_]*)(?::(?P<default>[^}]*))?\}")


def read(path: Path = PRODUCTION) -> dict[str, Any]:
    """The file as it stands, its placeholders not filled."""
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def filled[T](part: T, environment: Mapping[str, str]) -> T:
    """A copy of a part of the file, each placeholder replaced by the environment's value, else by its default."""

    def value(found: re.Match[str]) -> str:
        return environment.get(found["name"], found["default"] if found["default"] is not None else found[0])

    if isinstance(part, str):
        return PLACEHOLDER.sub(value, part)  # type: ignore[return-value]
    if isinstance(part, list):
        return [filled(one, environment) for one in part]  # type: ignore[return-value]
    if isinstance(part, dict):
        return {name: filled(one, environment) for name, one in part.items()}  # type: ignore[return-value]
    return part


def with_new_ids(realm: dict[str, Any]) -> dict[str, Any]:
    """The realm with other ids for its groups: a server has each only once, and permissions name groups by them."""
    text = json.dumps(realm)
    for group in (one for top in realm["groups"] for one in (top, *top.get("subGroups", ()))):
        text = text.replace(group["id"], str(uuid.uuid4()))
    changed: dict[str, Any] = json.loads(text)
    return changed
