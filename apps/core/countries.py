"""Countries by their ISO codes, and their names for people (CLDR, by Babel)."""

import re
from functools import cache

from babel import Locale

CODE = re.compile(r"[A-Z]{2}")
NO_COUNTRIES = frozenset(
    {"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"}
)  # CLDR's codes for groups, tests and what is unknown


def country_name(code: str, *, language: str = "en") -> str:
    """The name of a country; its code when nobody knows it."""
    return _names(language).get(code, code)


def list_countries(*, language: str = "en") -> list[tuple[str, str]]:
    """Every country as code and name, by name."""
    return sorted(_names(language).items(), key=lambda one: one[1])


@cache
def _names(language: str) -> dict[str, str]:
    territories = Locale.parse(language).territories
    return {code: name for code, name in territories.items() if CODE.fullmatch(code) and code not in NO_COUNTRIES}
