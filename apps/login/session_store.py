"""Where sessions are kept: in the database, but one that holds only a login under way lies signed in its own cookie.

So a stranger who asks for the login page a thousand times leaves no row. A row holds no secret: its key is a hash of the one in
the cookie, and its values are encrypted. Who reads the database, or a copy of it, cannot use anybody's session.
SESSION_ENGINE names this module.
"""

import hashlib
from typing import Any, override

from allauth.socialaccount.internal.statekit import STATE_TTL, STATES_SESSION_KEY
from allauth.usersessions.models import UserSession
from django.contrib.auth import HASH_SESSION_KEY
from django.contrib.sessions.backends import db
from django.contrib.sessions.base_session import AbstractBaseSession
from django.contrib.sessions.models import Session
from django.core import signing
from django.db.models.functions import Now

from apps.core import encryption

SIGNED = "signed:"
SALT = "frontdesk.login"


def row_key(session_key: str) -> str:
    """The key of a session's row, and of its line on the list of sessions: it says nothing about the one in the cookie.

    A session key is drawn from more than 160 bits, so that a hash without salt is enough.
    """
    return hashlib.sha256(session_key.encode()).hexdigest()[:40]


def read_row(key: str) -> dict[str, Any] | None:
    """What the session of the row `key` holds; None when it is over."""
    row = Session.objects.filter(session_key=key, expire_date__gt=Now()).first()
    return SessionStore().decode(row.session_data) if row else None


class SessionStore(db.SessionStore):
    """Django's, with the login under way of a visitor without a session in `session_key` itself."""

    @override
    def load(self) -> dict[str, Any]:
        if not self._is_signed():
            held = read_row(row_key(str(self.session_key)))
            if held is None:
                self._session_key = None
            return held or {}
        try:
            states = signing.loads(str(self.session_key).removeprefix(SIGNED), salt=SALT, max_age=STATE_TTL)
        except signing.BadSignature:
            self._session_key = None
            return {}
        return {STATES_SESSION_KEY: states}

    @override
    def save(self, must_create: bool = False) -> None:
        held = self._get_session(no_load=must_create)  # type: ignore[attr-defined]  # not in the stubs
        signed = self._is_signed()
        if held.keys() == {STATES_SESSION_KEY} and not must_create and (signed or self.session_key is None):
            self._session_key = SIGNED + signing.dumps(held[STATES_SESSION_KEY], salt=SALT, compress=True)
            return
        if signed and not must_create:
            self._session_key = None  # it is more than a login now, and gets a row
        super().save(must_create)

    @override
    def cycle_key(self) -> None:
        """Django gives a session begun under a former SECRET_KEY a new name; it stays on the list by which Keycloak ends it."""
        before, has_user = self.session_key, HASH_SESSION_KEY in self
        super().cycle_key()
        if has_user:
            listed = UserSession.objects.filter(session_key=row_key(str(before)))
            listed.update(session_key=row_key(str(self.session_key)))

    @override
    def exists(self, session_key: str) -> bool:
        return super().exists(row_key(session_key))

    @override
    def create_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        row = super().create_model_instance(data)
        row.session_key = row_key(row.session_key)
        return row

    @override
    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key:
            super().delete(row_key(key))

    @override
    def encode(self, session_dict: dict[str, Any]) -> str:
        return encryption.encrypt(session_dict, purpose=encryption.SESSIONS)

    @override
    def decode(self, session_data: bytes | str) -> dict[str, Any]:
        try:
            return encryption.decrypt(str(session_data), purpose=encryption.SESSIONS)
        except encryption.DecryptionError:
            return {}  # of a key that is no longer listed: that person logs in again

    def _is_signed(self) -> bool:
        return str(self.session_key or "").startswith(SIGNED)
