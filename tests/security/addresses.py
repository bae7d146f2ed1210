"""Every address that the resolver has, by its route, and filled in with ids."""

import re
from collections.abc import Iterator, Mapping

from django.urls import URLPattern, URLResolver, get_resolver, resolve

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
FILLED = {
    "which": "all", "url": "nothing/", "provider_id": "keycloak", "app_label": "core", "content_type_id": "1", "token": "x",
    "object_id": "1", "role": "viewer", "name": "terms", "version": "1",
    "chapter": "stripe", "number": "1",
}  # fmt: skip


def routes() -> list[str]:
    """Without the first slash, each part that varies as its name: dashboard/, admin/core/job/<object_id>/change/."""
    return sorted(set(_below(get_resolver(), "")))


def _below(resolver: URLResolver, prefix: str) -> Iterator[str]:
    for one in resolver.url_patterns:
        route = prefix + _plain(one)
        yield from _below(one, route) if isinstance(one, URLResolver) else [route]


def _plain(one: URLPattern | URLResolver) -> str:
    return _named(str(one.pattern))


def _named(pattern: str) -> str:
    """A pattern of Django's, of either kind, as routes are written here."""
    text = re.sub(r"\(\?P(<\w+>)[^)]*\)", r"\1", pattern).replace("^", "").replace("$", "").replace(r"\Z", "")
    return re.sub(r"<\w+:(\w+)>", r"<\1>", text)


def route_of(address: str) -> str:
    """The route that answers there."""
    return _named(resolve(address).route)


def fill(route: str, ids: Mapping[str, str] = FILLED) -> str:
    """An address of that route."""
    return "/" + re.sub(r"<(\w+)>", lambda found: ids[found[1]], route).replace(".*", "x/")


def all_addresses() -> list[str]:
    return [fill(route) for route in routes()]
