"""How settings read the environment: text, yes/no, whole numbers, lists, secrets and a database's URL. Nothing else lives here.

A secret `NAME` may instead be given as `NAME_FILE`, a path to a file that holds it (Docker and systemd secrets).
A required value that is missing stops the start with one sentence that names it.
"""

import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
YES, NO = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}


def text(name: str, default: str | None = None) -> str:
    """The value of `name`; `default` when it is not set; without a default, a missing value stops the start."""
    value = os.environ.get(name, "").strip()
    if value:
        return value
    if default is None:
        raise ImproperlyConfigured(f"{name} is not set. Set it in the environment (see .env.example).")
    return default


def secret(name: str, default: str | None = None) -> str:
    """Like `text`, but `NAME_FILE` may name a file that holds the value; both at once, or an empty file, stop the start."""
    file = os.environ.get(f"{name}_FILE", "").strip()
    if not file:
        return text(name, default)
    if os.environ.get(name, "").strip():
        raise ImproperlyConfigured(f"{name} and {name}_FILE are both set. Keep one of them.")
    try:
        value = Path(file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ImproperlyConfigured(f"{name}_FILE names {file}, which cannot be read: {reason}.") from error
    if not value:
        raise ImproperlyConfigured(f"{name}_FILE names {file}, which is empty.")
    return value


def boolean(name: str, *, default: bool) -> bool:
    """True for 1, true, yes, on; False for 0, false, no, off; anything else stops the start."""
    value = os.environ.get(name, "true" if default else "false").strip().lower()
    if value in YES | NO:
        return value in YES
    raise ImproperlyConfigured(f"{name} must be true or false, not {value!r}.")


def integer(name: str, default: int, *, minimum: int = 0) -> int:
    """A whole number of at least `minimum`; anything else stops the start."""
    value = os.environ.get(name, "").strip() or str(default)
    if not value.lstrip("-").isdigit() or int(value) < minimum:
        raise ImproperlyConfigured(f"{name} must be a whole number of at least {minimum}, not {value!r}.")
    return int(value)


def rates(name: str, default: str) -> tuple[tuple[int, int], ...]:
    """Limits such as `1/1m 5/1h`, as (uses, seconds): so many at once, and each comes back after its share of the time."""
    value = os.environ.get(name, "").strip() or default
    found = [re.fullmatch(r"([1-9]\d{0,5})/([1-9]\d{0,3})([smhd])", word) for word in value.split()]
    limits = tuple((int(one[1]), int(one[2]) * SECONDS[one[3]]) for one in found if one)
    if len({seconds for _, seconds in limits}) < len(
        found
    ):  # one statement spends all of them, each in a row of its own
        raise ImproperlyConfigured(f"{name} must be limits such as 1/1m 5/1h, each of another time, not {value!r}.")
    return limits


def hours(name: str) -> tuple[int, int]:
    """A span of hours such as `22-7`, from the first to before the second; empty: none, which is (0, 0)."""
    value = os.environ.get(name, "").strip()
    begin, dash, end = value.partition("-")
    if not value:
        return 0, 0
    if dash and begin.isdecimal() and end.isdecimal() and int(begin) < 24 and int(end) < 24:
        return int(begin), int(end)
    raise ImproperlyConfigured(f"{name} must be two hours such as 22-7, not {value!r}.")


def choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    """One of the allowed words; anything else stops the start."""
    value = os.environ.get(name, "").strip().lower() or default
    if value not in (default, *allowed):
        raise ImproperlyConfigured(f"{name} must be {' or '.join(allowed)}, not {value!r}.")
    return value


def words(name: str, default: str = "") -> list[str]:
    """A list of words separated by commas or spaces."""
    return os.environ.get(name, default).replace(",", " ").split()


def several(name: str, default: str, known: Collection[str]) -> list[str]:
    """A list of at least one of the `known` words, each once; another one stops the start."""
    found = list(dict.fromkeys(words(name, default)))
    if not found or not set(found) <= set(known):
        raise ImproperlyConfigured(f"{name} must be one or more of {', '.join(known)}, separated by commas.")
    return found


def named_secrets(name: str, given: str) -> dict[str, str]:
    """A list such as `cloud-1=secret cloud-2=secret`, by name; a word without both stops the start, and is not shown."""
    pairs = [word.partition("=") for word in given.split()]
    if not all(key and value for key, _, value in pairs):
        raise ImproperlyConfigured(f"{name} must be a list such as cloud-1=secret cloud-2=secret, separated by spaces.")
    return {key: value for key, _, value in pairs}


def database_url(name: str, url: str) -> dict[str, Any]:
    """Django's settings for a Postgres URL, with the options of its query (`?sslmode=require`); another one stops the start."""
    try:
        found = dict(dj_database_url.parse(url))
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} cannot be read. {error}") from None  # its text never quotes the URL
    if found.get("ENGINE") != "django.db.backends.postgresql" or not found["NAME"]:
        raise ImproperlyConfigured(f"{name} must look like postgresql://user:password@host:5432/name.")
    parts = {part: str(found[part]) for part in ("NAME", "USER", "PASSWORD", "HOST", "PORT")}
    return parts | {"OPTIONS": found.get("OPTIONS", {})}
