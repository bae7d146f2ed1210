"""The realm of rehearsals as a file, `apps/sandbox/run/keycloak/realm.json`: one for compose.yml, the demo, the tests and the stand-in."""

from pathlib import Path
from typing import Any

from apps.identity import realm_file
from apps.identity.realm_file import PLACEHOLDER, filled

__all__ = ["DENY_LIST", "PATH", "PLACEHOLDER", "filled", "read"]

PATH = Path(__file__).resolve().parent / "keycloak" / "realm.json"
DENY_LIST = (
    Path(__file__).resolve().parents[3] / "config" / "keycloak" / "password-deny-list.txt"
)  # its policy names it


def read(path: Path = PATH) -> dict[str, Any]:
    """The file as it stands, its placeholders not filled."""
    return realm_file.read(path)
