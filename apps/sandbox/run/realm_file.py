"""The realm as a file, `apps/sandbox/run/keycloak/realm.json`: one for compose.yml, the demo, the tests and the stand-in.

Addresses and secrets in it are `${NAME:default}`, which Keycloak's own import fills from its environment (seen on 26.7.3);
`filled` does the same for those who read the file themselves.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PATH = Path(__file__).resolve().parent / "keycloak" / "realm.json"
DENY_LIST = (
    Path(__file__).resolve().parents[3] / "config" / "keycloak" / "password-deny-list.txt"
)  # its policy names it
PLACEHOLDER = re.compile(r"\$\{(?P<name>[A-Z][A-Z0-9_]*)(?::(?P<default>[^}]*))?\}")


def read(path: Path = PATH) -> dict[str, Any]:
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
