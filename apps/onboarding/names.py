"""Checks what visitors type: first and last names, usernames, email addresses. Pure checks; no database.

Each returns the text as stored, or raises BadInput with a message for the field.
"""

import re
import unicodedata

from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator

from apps.core.errors import BadInput
from apps.onboarding.reserved_usernames import is_reserved

NAME_LIMIT = 64
USERNAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,28}[a-z0-9]")
FORBIDDEN = frozenset("<>{}\\")
JOINERS = "\u200c\u200d"  # needed inside words of some scripts
ADDRESS = re.compile(r"://|www\.|@|[^\W_]{2,}\.[a-z]{2,}", re.IGNORECASE)
FORMULA = ("=", "+", "-", "@")  # a spreadsheet would run a name that starts with one


def person_name(text: str, *, field: str, required: bool = True) -> str:
    """A first or last name: at most 64 characters, no control characters, no addresses, no `<>{}`; may appear in emails."""
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not name and not required:
        return ""
    if not any(character.isalpha() for character in name):
        raise BadInput("Please enter your name.", field=field, code="required")
    if len(name) > NAME_LIMIT:
        raise BadInput(f"Please use at most {NAME_LIMIT} characters.", field=field, code="too_long")
    if any(_unprintable(character) for character in name):
        raise BadInput("Please remove the invisible characters.", field=field, code="characters")
    if forbidden := sorted(set(name) & FORBIDDEN):
        raise BadInput(f"Please remove these characters: {' '.join(forbidden)}.", field=field, code="characters")
    if ADDRESS.search(name) or name.startswith(FORMULA):
        raise BadInput(
            "Please enter just a name, without a web address or symbols.",
            field=field,
            code="characters",
        )
    return name


def _unprintable(character: str) -> bool:
    return unicodedata.category(character)[0] == "C" and character not in JOINERS


def username(text: str, *, field: str = "username") -> str:
    """A username: 3 to 30 of a-z, 0-9, dot, underscore, hyphen, a letter or digit at both ends, not reserved."""
    name = unicodedata.normalize("NFKC", text).strip().lower()
    if not name:
        raise BadInput("Please choose a username.", field=field, code="required")
    if not USERNAME.fullmatch(name):
        raise BadInput(
            "Use 3 to 30 lowercase letters, numbers, dots, hyphens or underscores. Start and end with a letter or number.",
            field=field,
            code="format",
        )
    if is_reserved(name):
        raise BadInput("This username is reserved. Please choose another.", field=field, code="reserved")
    return name


def email(text: str, *, field: str = "email") -> str:
    """An email address with its domain in lower case; the part before the @ is kept as typed."""
    address = unicodedata.normalize("NFKC", text).strip()
    local, _, domain = address.rpartition("@")
    address = f"{local}@{domain.lower()}"
    if len(address) > 254 or not address.isascii() or not _well_formed(address):
        raise BadInput("Please enter an email address like anna@example.com.", field=field, code="format")
    return address


def _well_formed(address: str) -> bool:
    try:
        EmailValidator()(address)
    except ValidationError:
        return False
    return True
