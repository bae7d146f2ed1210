"""Every address that the resolver has, filled in with ids that may or may not be there."""

import re
from collections.abc import Iterator

from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RegexPattern

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
FILLED = {"int": "1", "uuid": "00000000-0000-4000-8000-000000000001", "str": "x", "slug": "x", "path": "1"}


def all_addresses() -> list[str]:
    return sorted(set(_below(get_resolver(), "/")))


def _below(resolver: URLResolver, prefix: str) -> Iterator[str]:
    for one in resolver.url_patterns:
        address = prefix + _filled(one)
        yield from _below(one, address) if isinstance(one, URLResolver) else [address]


def _filled(one: URLPattern | URLResolver) -> str:
    text = str(one.pattern)
    if isinstance(one.pattern, RegexPattern):
        text = re.sub(r"\(\?P<\w+>(\w+)[^)]*\)", r"\1", text).strip("^$").replace(r"\Z", "")
        return re.sub(r"\(\?P<\w+>[^)]*\)|\.\*", "x", text).replace("\\", "")
    return re.sub(r"<(?:(\w+):)?\w+>", lambda found: FILLED.get(found[1] or "str", "x"), text)
