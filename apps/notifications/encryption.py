"""Encryption for the few values that must reach a mail but must not lie readable in the database: one-time codes and links.

Fernet (AES-128-CBC with HMAC-SHA-256, cryptography.io/en/latest/fernet) under a key derived from SECRET_KEY. A copy of the
database alone cannot open them. What was made under a former key or in a former format can be read while that is listed.
Nothing has to be encrypted again: it is wiped when the mail has left or is too late, after minutes.
"""

import base64
import json
from collections.abc import Callable
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
    name, _, token = encrypted.rpartition(":")
    if (name or UNNAMED) not in FORMATS:
        raise DecryptionError
    for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        try:
            found: dict[str, str] = json.loads(FORMATS[name or UNNAMED](key).decrypt(token.encode()))
        except InvalidToken:
            continue
        return found
    raise DecryptionError
