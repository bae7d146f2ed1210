r"""What the realm accepts as a username, an email address and a name, so that the form refuses it before anybody pays.

Measured on Keycloak 26.7.3; tests/contract asks the real server the same questions. Promises: no page waits for Keycloak: a
job reads the realm's profile every hour and after each refusal, and until it has, the rules of the realm file we ship
apply. A rule that we cannot evaluate (a validator of the operator's own) refuses nobody.
https://www.keycloak.org/docs/latest/server_admin/#user-profile
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import regex
import structlog
from django.conf import settings
from django.core.cache import cache

from apps.identity import api_errors
from apps.identity.admin_client import admin_client

log = structlog.get_logger(__name__)

KIND = "read_user_profile"
EVERY_SECONDS = 3600
MAX_LOCAL_PART = 64  # the server's default; it is not shown to anybody
PATTERN_SECONDS = 0.2  # the pattern is the operator's, the text a visitor's

Row = Mapping[str, Any]
Rules = Mapping[str, Row]  # attribute to what Keycloak declares of it: `validations`, `required`
ANY_LENGTH: dict[str, Any] = {"length": {"max": 255}}
SHIPPED: Rules = {
    "username": {
        "validations": {
            "length": {"min": 3, "max": 255},
            "username-prohibited-characters": {},
            "up-username-not-idn-homograph": {},
        }
    },
    "email": {"validations": ANY_LENGTH | {"email": {}}},
    "firstName": {"validations": ANY_LENGTH | {"person-name-prohibited-characters": {}}},
    "lastName": {"validations": ANY_LENGTH | {"person-name-prohibited-characters": {}}},
}

# What each of these validators refuses, one character at a time. Java's \v and \p{Cntrl}, written out.
_CONTROL = r"\x00-\x1f\x7f\x85\u2028\u2029"
_SYMBOLS = r"<>&\"$%!#?§;*~/\\|\^=\[\]{}()"
PROHIBITED = {
    "person-name-prohibited-characters": regex.compile(rf"[{_SYMBOLS}{_CONTROL}]"),
    "username-prohibited-characters": regex.compile(rf"[{_SYMBOLS}{_CONTROL}',:`\s\u180e]"),
    "up-username-not-idn-homograph": regex.compile(r"[^\p{Latin}\p{Common}]"),
}
# What these mean in Java: ASCII alone.
_ASCII = {
    "w": "[a-zA-Z_0-9]", "W": "[^a-zA-Z_0-9]", "d": "[0-9]", "D": "[^0-9]", "s": r"[ \t-\r]", "S": r"[^ \t-\r]",
    "p{Alpha}": "[a-zA-Z]", "p{Lower}": "[a-z]", "p{Upper}": "[A-Z]", "p{Alnum}": "[a-zA-Z0-9]", "p{Digit}": "[0-9]",
    "p{Space}": r"[ \t-\r]", "p{Punct}": r"[!-/:-@\[-`{-~]", "p{ASCII}": r"[\x00-\x7f]",
}  # fmt: skip


FIELD_WORDS = {"firstName": "first name", "lastName": "last name", "email": "email address"}
ERROR_WORDS = {
    "invalid-character": "has characters that the realm does not allow",
    "invalid-length": "is longer or shorter than the realm allows",
    "attribute-required": "is required by the realm",
    "email": "is not one that the realm accepts",
}


@dataclass(frozen=True)
class Violation:
    """The rule that a value breaks: `required`, `short`, `long`, `characters`, `email`, `local_part` or `value`."""

    rule: str
    limit: int = 0
    characters: str = ""


def read_user_profile(_key: str) -> None:
    """The job: keep what the realm declares about the four fields. The doctor's account reads it, else our own."""
    accounts = [
        (settings.KEYCLOAK_DOCTOR_CLIENT_ID, settings.KEYCLOAK_DOCTOR_CLIENT_SECRET),
        (settings.KEYCLOAK_ADMIN_CLIENT_ID, settings.KEYCLOAK_ADMIN_CLIENT_SECRET),
    ]
    for client_id, secret in accounts:
        profile = _read_as(client_id, secret) if client_id else None
        if profile is not None:
            declared = {str(row["name"]): row for row in profile["attributes"]}
            cache.set(_cache_key(), {name: declared.get(name, {}) for name in SHIPPED}, timeout=None)
            return


def _read_as(client_id: str, secret: str) -> dict[str, Any] | None:
    """The realm's user profile as that account sees it; None when it may not see it."""
    admin = admin_client(client_id, secret)
    try:
        found: dict[str, Any] = api_errors.read(
            "show the user profile", admin.get_realm_users_profile, expect=(400, 401, 403, 404)
        )
    except api_errors.Refusal as refusal:
        log.warning("user_profile_not_visible", client=client_id, status=refusal.status)
        return None
    return found


def _cache_key() -> str:
    return f"user-profile:{settings.KEYCLOAK_SERVER_URL}:{settings.KEYCLOAK_REALM}"[:200]


def current_rules() -> Rules:
    """The rules of the realm as last read; those we ship until then."""
    found: Rules = cache.get(_cache_key()) or SHIPPED
    return found


def find_violation(attribute: str, value: str, rules: Rules) -> Violation | None:
    """The first rule that `value` breaks as a `username`, `email`, `firstName` or `lastName`; None: accepted."""
    declared = rules[attribute]
    if not value.strip():
        return Violation("required") if _is_required(declared.get("required")) else None
    for name, config in (declared.get("validations") or {}).items():
        found = _check(name, config or {}, value)
        if found is not None:
            return found
    return None


def explain_refusal(message: str) -> str:
    """Keycloak's answer to an account (`firstName: error-…; email: error-…`) in words for staff."""
    found = []
    for part in message.split("; "):
        field, _, error = part.partition(": ")
        words = next((words for key, words in ERROR_WORDS.items() if key in error), "is not accepted by the realm")
        found.append(f"the {FIELD_WORDS.get(field, field)} {words}" if error else part)
    return "; ".join(dict.fromkeys(found))


def is_required(attribute: str) -> bool:
    """Whether the realm makes no account without it."""
    return _is_required(current_rules()[attribute].get("required"))


def _is_required(rule: Any) -> bool:
    """Of accounts that an administrator makes; what is asked of the person alone, Keycloak asks at the login."""
    if rule is None:
        return False
    roles = rule.get("roles") or ()
    return "admin" in roles or not (roles or rule.get("scopes"))


def _check(name: str, config: Row, value: str) -> Violation | None:
    if name == "length":
        return _check_length(config, value)
    if name == "email":
        return _check_email(config, value)
    if name in PROHIBITED:
        found = "".join(dict.fromkeys(PROHIBITED[name].findall(value)))
        return Violation("characters", characters=found) if found else None
    if name == "options":
        return None if value in (config.get("options") or (value,)) else Violation("value")
    if name == "pattern":
        return None if _matches(str(config.get("pattern") or ""), value) else Violation("value")
    return None


def _check_length(config: Row, value: str) -> Violation | None:
    """Keycloak counts in UTF-16, as Java does, and writes numbers as texts where the console has saved them."""
    text = value if str(config.get("trim-disabled")).lower() == "true" else value.strip()
    length = len(text.encode("utf-16-le", "surrogatepass")) // 2
    if (low := config.get("min")) is not None and length < int(low):
        return Violation("short", limit=int(low))
    if (high := config.get("max")) is not None and length > int(high):
        return Violation("long", limit=int(high))
    return None


def _check_email(config: Row, value: str) -> Violation | None:
    """Beyond what every address has to be, the part before the @: its length, and ASCII alone, which mail servers need."""
    local, _, _ = value.rpartition("@")
    if not local.isascii():
        return Violation("local_part")
    most = int(config.get("max-local-length") or MAX_LOCAL_PART)
    return Violation("email", limit=most) if len(local) > most else None


def _matches(pattern: str, value: str) -> bool:
    """Whether all of `value` matches a pattern in Java's syntax; True when it cannot be known."""
    try:
        compiled = _compile(pattern)
        return compiled is None or bool(compiled.fullmatch(value, timeout=PATTERN_SECONDS))
    except TimeoutError:
        log.warning("user_profile_pattern_slow", pattern=pattern[:200])
        return True


@functools.lru_cache(maxsize=32)
def _compile(pattern: str) -> regex.Pattern[str] | None:
    ascii_only = regex.sub(r"\\(p\{\w+\}|.)", lambda found: _ASCII.get(found[1], found[0]), pattern)
    try:
        return regex.compile(ascii_only, regex.V1)
    except regex.error:
        log.warning("user_profile_pattern_unknown", pattern=pattern[:200])
        return None
