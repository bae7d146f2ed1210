"""What must not be guessed has 128 bits of chance: measured on what really leaves, by the signs it uses and its length."""

import math
from typing import Any
from urllib.parse import parse_qs, urlsplit

from allauth.socialaccount.internal.statekit import STATES_SESSION_KEY
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils.crypto import get_random_string

from apps.login.session_store import SessionStore, row_key
from tests.login.conftest import LOGIN

SAMPLES = 60
BITS = 128


def bits(values: list[str]) -> float:
    """At least the chance in one of them: the parts that differ, each sign counted as one of those that were seen."""
    assert len(set(values)) == len(values)
    assert len({len(value) for value in values}) == 1
    places = [set(signs) for signs in zip(*values, strict=True)]
    free = [signs for signs in places if len(signs) > 1]
    return len(free) * math.log2(min(len(set().union(*free)), 64))


def logins() -> list[tuple[dict[str, list[str]], Any]]:
    """What visitors are sent to Keycloak with, and what their sessions keep of it."""
    found = []
    for _ in range(SAMPLES):
        client = Client()
        sent = parse_qs(urlsplit(client.get(LOGIN)["Location"]).query)
        found.append((sent, client.session[STATES_SESSION_KEY]))
    return found


def test_state_nonce_and_verifier_of_a_login(db: None) -> None:
    asked = logins()
    for name in ("state", "nonce"):
        assert bits([sent[name][0] for sent, _ in asked]) >= BITS, name
    kept = [state for _, states in asked for state, _, _ in states.values()]
    assert bits([one["pkce_code_verifier"] for one in kept]) >= BITS


def test_sessions_and_their_csrf_tokens(db: None, settings: Any) -> None:
    keys, tokens = [], []
    for _ in range(SAMPLES):
        session = SessionStore()
        session["x"] = 1
        session.create()
        keys.append(session.session_key or "")
        client = Client()
        client.get("/recovery/")
        tokens.append(client.cookies[settings.CSRF_COOKIE_NAME].value)
    assert {row_key(key) for key in keys} == set(Session.objects.values_list("session_key", flat=True))
    assert bits(keys) >= BITS
    assert bits(tokens) >= BITS


def test_a_short_one_would_be_seen() -> None:
    """As allauth's own state is: 16 letters and digits."""
    assert 90 < bits([get_random_string(16) for _ in range(SAMPLES)]) < BITS
