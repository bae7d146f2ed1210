"""Where sessions are kept: in the database, but one that holds only a login under way lies signed in its own cookie.

So a stranger who asks for the login page a thousand times leaves no row. SESSION_ENGINE names this module.
"""

from typing import Any, override

from allauth.socialaccount.internal.statekit import STATE_TTL, STATES_SESSION_KEY
from allauth.usersessions.models import UserSession
from django.contrib.auth import HASH_SESSION_KEY
from django.contrib.sessions.backends import db
from django.core import signing

SIGNED = "signed:"
SALT = "frontdesk.login"


class SessionStore(db.SessionStore):
    """Django's, with the login under way of a visitor without a session in `session_key` itself."""

    @override
    def load(self) -> dict[str, Any]:
        if not self._is_signed():
            return super().load()
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
            UserSession.objects.filter(session_key=before).update(session_key=self.session_key)

    @override
    def exists(self, session_key: str) -> bool:
        return not session_key.startswith(SIGNED) and super().exists(session_key)

    def _is_signed(self) -> bool:
        return str(self.session_key or "").startswith(SIGNED)
