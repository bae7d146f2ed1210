"""Exchanging keys, as an operator does: the new one, and the former ones beside it for a while."""

from typing import Any


def rotate(settings: Any, key: str, *, former: bool = True) -> None:
    """A new DJANGO_SECRET_KEY; without `former` what was made under the old ones is void."""
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS] if former else []
    settings.SECRET_KEY = key
