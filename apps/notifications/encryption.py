"""Encryption for the few values that must reach a mail but must not lie readable in the database: one-time codes and links.

Fernet (AES-128-CBC with HMAC-SHA-256, cryptography.io/en/latest/fernet) under a key derived from SECRET_KEY. A copy of the
database alone cannot open them. What was made under a former key or in a former format can be read while that is listed.
A code is wiped after minutes; the link of a failed mail is kept for weeks, and `manage.py renew_encryption` encrypts it again.
"""

import base64
import json
from collections.abc import Callable, Container, Iterable
from typing import Protocol

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


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


def _fernet(key: str) -> Fernet:
    kdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"frontdesk notifications encrypted v1")
    return Fernet(base64.urlsafe_b64encode(kdf.derive(key.encode())))


# Each text begins with the name of its format. The first is written, all are read: another algorithm is another line.
FORMATS: dict[str, Callable[[str], Cipher]] = {"fernet": _fernet}
UNNAMED = "fernet"  # what was written before formats had names


def encrypt(values: dict[str, str]) -> str:
    """Encrypt a few texts into one."""
    name, cipher = next(iter(FORMATS.items()))
    return f"{name}:{cipher(settings.SECRET_KEY).encrypt(json.dumps(values).encode()).decode()}"


def decrypt(encrypted: str) -> dict[str, str]:
    """The texts again. Raises DecryptionError."""
    return _decrypt(encrypted, FORMATS, (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


def is_current(encrypted: str) -> bool:
    """Whether it is of the present key and format, so that no former one is needed to read it."""
    try:
        _decrypt(encrypted, [next(iter(FORMATS))], (settings.SECRET_KEY,))
    except DecryptionError:
        return False
    return True


def _decrypt(encrypted: str, formats: Container[str], keys: Iterable[str]) -> dict[str, str]:
    name, _, token = encrypted.rpartition(":")
    if (name or UNNAMED) not in formats:
        raise DecryptionError
    for key in keys:
        try:
            found: dict[str, str] = json.loads(FORMATS[name or UNNAMED](key).decrypt(token.encode()))
        except InvalidToken:
            continue
        return found
    raise DecryptionError
