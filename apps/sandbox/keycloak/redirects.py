"""Where a browser may be sent back to: a client's redirect addresses, exact or ending in `*`."""

from typing import Any
from urllib.parse import urlencode

Row = dict[str, Any]


def allowed(client: Row, uri: str) -> bool:
    """Whether `uri` is one of the client's redirect addresses."""
    return any(_fits(pattern, uri) for pattern in client["redirectUris"])


def allowed_after_logout(client: Row, uri: str) -> bool:
    """Whether `uri` is one of the client's addresses for after the logout ("+": the redirect addresses)."""
    patterns = client["attributes"].get("post.logout.redirect.uris", "+").split("##")
    return any(allowed(client, uri) if pattern == "+" else _fits(pattern, uri) for pattern in patterns)


def _fits(pattern: str, uri: str) -> bool:
    return uri.startswith(pattern[:-1]) if pattern.endswith("*") else uri == pattern


def home(client: Row) -> str:
    """The client's own address; empty when it has none."""
    root, base = str(client.get("rootUrl") or ""), str(client.get("baseUrl") or "")
    return root.rstrip("/") + base if base.startswith("/") else base or root


def with_query(uri: str, **values: str) -> str:
    """`uri` with more query parameters; empty ones are left out."""
    query = urlencode({name: value for name, value in values.items() if value})
    if not query:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}{query}"
