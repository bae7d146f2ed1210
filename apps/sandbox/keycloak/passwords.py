"""Passwords of the realm's people: hashed, checked, and held to the realm's policy in Keycloak's words."""

import functools
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable

from apps.sandbox.keycloak.answers import RefusedError, failed
from apps.sandbox.run import realm_file

# Few on purpose: the sandbox's passwords protect nothing, and its tests log in often.
ROUNDS = 5_000


def hashed(password: str) -> str:
    """A salted hash to keep in the store."""
    salt = secrets.token_hex(8)
    return f"{salt}${_digest(password, salt)}"


def matches(password: str, kept: str) -> bool:
    """Whether `password` is the one `kept` was made from."""
    salt, _, digest = kept.partition("$")
    return hmac.compare_digest(_digest(password, salt), digest)


def _digest(password: str, salt: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), ROUNDS).hex()


def complaint(password: str, *, policy: str, user: dict[str, object]) -> RefusedError | None:
    """The first rule of the realm's `policy` the password breaks, as Keycloak words it; None when it is good."""
    rules = dict(re.findall(r"(\w+)\(([^)]*)\)", policy))
    checks: dict[str, Callable[[str], bool]] = {
        "length": lambda value: len(password) < int(value),
        "notUsername": lambda _: password.lower() == str(user["username"]).lower(),
        "notEmail": lambda _: password.lower() == str(user["email"]).lower(),
        "passwordHistory": lambda value: _used(password, user["passwords"], int(value)),
        "passwordBlacklist": lambda value: password.lower() in _denied(value),
    }
    for rule, value in rules.items():
        if rule in checks and checks[rule](value):
            message, text = SENTENCES[rule]
            return failed(400, message, text.format(value))
    return None


SENTENCES = {
    "length": ("invalidPasswordMinLengthMessage", "Invalid password: minimum length {}."),
    "notUsername": ("invalidPasswordNotUsernameMessage", "Invalid password: must not be equal to the username."),
    "notEmail": ("invalidPasswordNotEmailMessage", "Invalid password: must not be equal to the email."),
    "passwordHistory": (
        "invalidPasswordHistoryMessage",
        "Invalid password: must not be equal to any of last {} passwords.",
    ),
    "passwordBlacklist": ("invalidPasswordBlacklistedMessage", "Invalid password: password is not allowed."),
}


@functools.cache
def _denied(file: str) -> frozenset[str]:
    """The passwords of a list in `config/keycloak`, where a real server has `data/password-blacklists`."""
    return frozenset(realm_file.DENY_LIST.with_name(file).read_text().splitlines())


def _used(password: str, kept: object, last: int) -> bool:
    return isinstance(kept, list) and any(matches(password, old) for old in kept[-last:])
