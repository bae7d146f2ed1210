"""Encryption for the few values that are needed again but must not lie readable in the database.

They are the one-time codes and links of mails, what a session keeps, and the copy of their data that a person asked for. Fernet (AES-128-CBC with HMAC-SHA-256,
cryptography.io/en/latest/fernet) under a key derived from SECRET_KEY, one for each purpose. A copy of the database alone cannot
open them. What was made under a former key or in a former format can be read while that is listed. A code is wiped after
minutes; the link of a failed mail is kept for weeks, and `manage.py renew_encryption` encrypts it again.
"""

import base64
import json
from collections.abc import Callable, Container, Iterable
from functools import cache
from typing import Any, Protocol

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

MAILS, SESSIONS, COPIES = (
    "notifications",
    "sessions",
    "copies",
)  # purposes: a text of one cannot be read as one of the other


class DecryptionError(Exception):
    """The encrypted text was made under another SECRET_KEY, or was altered."""


class Cipher(Protocol):
    """Authenticated encryption under one key."""

    def encrypt(self, data: bytes) -> bytes:
        """An encrypted text of ASCII without a colon."""
        ...

    def decrypt(self, token: bytes) -> bytes:
        """What was encrypted. Raises InvalidToken."""
        ...


@cache
def _fernet(key: str, purpose: str) -> Fernet:
    kdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=f"frontdesk {purpose} encrypted v1".encode())
    return Fernet(base64.urlsafe_b64encode(kdf.derive(key.encode())))


# Each text begins with the name of its format. The first is written, all are read: another algorithm is another line.
FORMATS: dict[str, Callable[[str, str], Cipher]] = {"fernet": _fernet}
UNNAMED = "fernet"  # what was written before formats had names


def encrypt(values: dict[str, Any], *, purpose: str = MAILS) -> str:
    """Encrypt a few values of JSON into one text."""
    name, cipher = next(iter(FORMATS.items()))
    return f"{name}:{cipher(settings.SECRET_KEY, purpose).encrypt(json.dumps(values).encode()).decode()}"


def decrypt(encrypted: str, *, purpose: str = MAILS) -> dict[str, Any]:
    """The values again. Raises DecryptionError."""
    return _decrypt(encrypted, purpose, FORMATS, (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


def is_current(encrypted: str, *, purpose: str = MAILS) -> bool:
    """Whether it is of the present key and format, so that no former one is needed to read it."""
    try:
        _decrypt(encrypted, purpose, [next(iter(FORMATS))], (settings.SECRET_KEY,))
    except DecryptionError:
        return False
    return True


def _decrypt(encrypted: str, purpose: str, formats: Container[str], keys: Iterable[str]) -> dict[str, Any]:
    name, _, token = encrypted.rpartition(":")
    if (name or UNNAMED) not in formats:
        raise DecryptionError
    for key in keys:
        try:
            found: dict[str, Any] = json.loads(FORMATS[name or UNNAMED](key, purpose).decrypt(token.encode()))
        except InvalidToken:
            continue
        return found
    raise DecryptionError
