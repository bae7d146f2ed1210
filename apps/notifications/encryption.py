"""Encryption for the few values that must reach a mail but must not lie readable in the database: one-time codes and links.

Fernet (AES-128-CBC with HMAC-SHA-256, cryptography.io/en/latest/fernet) under a key derived from SECRET_KEY. A copy of the
database alone cannot open them. When SECRET_KEY changes, what waits encrypted can no longer be sent; people ask for a new code.
"""

import base64
import json

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class DecryptionError(Exception):
    """The encrypted text was made under another SECRET_KEY, or was altered."""


def encrypt(values: dict[str, str]) -> str:
    """Encrypt a few texts into one."""
    return _fernet().encrypt(json.dumps(values).encode()).decode()


def decrypt(encrypted: str) -> dict[str, str]:
    """The texts again. Raises DecryptionError."""
    try:
        found: dict[str, str] = json.loads(_fernet().decrypt(encrypted.encode()))
    except InvalidToken as error:
        raise DecryptionError from error
    return found


def _fernet() -> Fernet:
    kdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"frontdesk notifications encrypted v1")
    return Fernet(base64.urlsafe_b64encode(kdf.derive(settings.SECRET_KEY.encode())))
