"""Forged, stale, foreign and broken tokens, each through the whole return of a login."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.http import HttpResponse
from django.test import Client

from apps.login import oidc
from tests.login.conftest import LOGIN, subscriber
from tests.login.forger import SUBJECT, Forger, In, forging, jwk, pem_of, rsa_key


@pytest.fixture
def forger(settings: Any, db: None) -> Iterator[Forger]:
    """A Keycloak of our making that Frontdesk takes for its own, and a subscriber it could log in."""
    with forging() as made:
        settings.KEYCLOAK_ISSUER = made.issuer
        subscriber(SUBJECT)
        yield made


def return_with(forger: Forger, make: Callable[[str], Any]) -> tuple[Client, HttpResponse]:
    """A login whose ID token is `make(nonce)`; gives the browser and the answer to its return."""
    client = Client()
    sent = parse_qs(urlsplit(client.get(LOGIN)["Location"]).query)
    forger.tokens = {"access_token": "at", "token_type": "Bearer", "id_token": make(sent["nonce"][0])}
    answer: HttpResponse = client.get(f"{LOGIN}callback/?code=c&state={sent['state'][0]}")
    return client, answer


def plain(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def tampered(token: str, **changes: Any) -> str:
    header, body, signature = token.split(".")
    said = json.loads(base64.urlsafe_b64decode(body + "=="))
    return f"{header}.{plain(said | changes)}.{signature}"


def with_claims(**changes: Any) -> Callable[[Forger, str], str]:
    return lambda forger, nonce: forger.sign(forger.claims(**({"nonce": nonce} | changes)))


def signed(**how: Any) -> Callable[[Forger, str], str]:
    return lambda forger, nonce: forger.sign(forger.claims(nonce=nonce), **how)


def hmac_by_public_key(forger: Forger, nonce: str) -> str:
    """By hand: PyJWT refuses to sign with a public key."""
    head = f"{plain({'alg': 'HS256', 'typ': 'JWT', 'kid': 'good'})}.{plain(forger.claims(nonce=nonce))}"
    mac = hmac.new(pem_of(rsa_key("good")), head.encode(), hashlib.sha256).digest()
    return f"{head}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


FORGED: dict[str, Callable[[Forger, str], Any]] = {
    "no token": lambda forger, nonce: None,
    "empty": lambda forger, nonce: "",
    "a number": lambda forger, nonce: 5,
    "a list": lambda forger, nonce: ["x"],
    "noise": lambda forger, nonce: "a.b.c",
    "not ascii": lambda forger, nonce: "ä.ö.ü",
    "far too long": lambda forger, nonce: "a" * 200_000,
    "deeply nested header": lambda forger, nonce: base64.urlsafe_b64encode(b"[" * 9000).decode() + ".a.b",
    "alg none": lambda forger, nonce: f"{plain({'alg': 'none', 'kid': 'good'})}.{plain(forger.claims(nonce=nonce))}.",
    "alg None": lambda forger, nonce: f"{plain({'alg': 'None', 'kid': 'good'})}.{plain(forger.claims(nonce=nonce))}.",
    "alg missing": lambda forger, nonce: f"{plain({'kid': 'good'})}.{plain(forger.claims(nonce=nonce))}.",
    "alg a list": lambda forger, nonce: (
        f"{plain({'alg': ['RS256'], 'kid': 'good'})}.{plain(forger.claims(nonce=nonce))}."
    ),
    "HS256 with the public key": hmac_by_public_key,
    "HS256 with the client secret": signed(alg="HS256", key="test-oidc-secret-which-is-long-enough-to-sign"),
    "RS384, not on our list": signed(alg="RS384"),
    "RS512, not on our list": signed(alg="RS512"),
    "PS256 with a key published for RS256": signed(alg="PS256"),
    "RS256 with a key published for PS256": signed(kid="pss"),
    "a key published for encryption": signed(kid="enc"),
    "a key nobody published": signed(kid="stranger"),
    "the right kid, another key": signed(kid="good", key=rsa_key("stranger")),
    "no kid": signed(kid=None, key=rsa_key("good")),
    "kid a path": signed(kid="../../../../dev/null", key=rsa_key("good")),
    "kid SQL": signed(kid="good' OR '1'='1", key=rsa_key("good")),
    "key carried in the header": signed(kid="mine", key=rsa_key("mine"), jwk=jwk("mine", "RS256")),
    "key address in the header": signed(kid="mine", key=rsa_key("mine"), jku="http://127.0.0.1:9/certs"),
    "critical header": signed(crit=["exp"]),
    "typ of a logout token": signed(typ="logout+jwt"),
    "typ of an access token": signed(typ="at+jwt"),
    "typ not text": signed(typ=5),
    "changed after signing": lambda forger, nonce: tampered(
        forger.sign(forger.claims(nonce=nonce, sub="somebody")), sub=SUBJECT
    ),
    "signature cut off": lambda forger, nonce: forger.sign(forger.claims(nonce=nonce)).rpartition(".")[0] + ".",
    "claims a list": lambda forger, nonce: forger.sign([1]),
    "iss missing": with_claims(iss=None),
    "iss another realm": lambda forger, nonce: forger.sign(
        forger.claims(nonce=nonce, iss=f"{forger.url}/realms/master")
    ),
    "iss with a slash": lambda forger, nonce: forger.sign(forger.claims(nonce=nonce, iss=forger.issuer + "/")),
    "iss a list": lambda forger, nonce: forger.sign(forger.claims(nonce=nonce) | {"iss": [forger.issuer]}),
    "aud missing": with_claims(aud=None),
    "aud another client": with_claims(aud="nextcloud"),
    "aud others only": with_claims(aud=["account", "nextcloud"]),
    "aud almost us": with_claims(aud="frontdesk-web2"),
    "aud several without azp": with_claims(aud=["frontdesk-web", "nextcloud"], azp=None),
    "azp another client": with_claims(azp="nextcloud"),
    "sub missing": with_claims(sub=None),
    "sub empty": with_claims(sub=""),
    "sub a number": with_claims(sub=5),
    "sub too long": with_claims(sub="x" * 256),
    "sub another than userinfo's": with_claims(sub="99999999-2222-4333-8444-555555555555"),
    "nonce missing": with_claims(nonce=None),
    "nonce empty": with_claims(nonce=""),
    "nonce another": with_claims(nonce="another"),
    "nonce not text": with_claims(nonce=5),
    "over": with_claims(iat=In(-1000), exp=In(-500)),
    "exp missing": with_claims(exp=None),
    "exp text": with_claims(exp="9999999999"),
    "exp true": with_claims(exp=True),
    "from the future": with_claims(iat=In(5000), exp=In(6000)),
    "iat missing": with_claims(iat=None),
    "not yet valid": with_claims(nbf=In(5000)),
    "an access token": with_claims(typ="Bearer"),
    "a refresh token": with_claims(typ="Refresh"),
    "a logout token": with_claims(typ="Logout", nonce=None, events={oidc.LOGOUT_EVENT: {}}),
}


@pytest.mark.parametrize("kind", FORGED)
def test_a_forged_token_opens_nothing(kind: str, forger: Forger) -> None:
    client, answer = return_with(forger, lambda nonce: FORGED[kind](forger, nonce))
    assert answer.status_code == 401, kind
    assert b"That login did not work" in answer.content
    assert "_auth_user_id" not in client.session


@pytest.mark.parametrize(("alg", "kid"), [("RS256", "good"), ("ES256", "curve"), ("PS256", "pss")])
def test_a_good_token_opens_the_account(alg: str, kid: str, forger: Forger) -> None:
    client, answer = return_with(forger, lambda nonce: forger.sign(forger.claims(nonce=nonce), alg=alg, kid=kid))
    assert answer.status_code == 302
    assert "_auth_user_id" in client.session


def test_several_audiences_are_fine_when_we_asked(forger: Forger) -> None:
    _, answer = return_with(forger, lambda nonce: with_claims(aud=["account", "frontdesk-web"])(forger, nonce))
    assert answer.status_code == 302


@pytest.mark.parametrize("about", [{}, {"sub": None}, {"sub": "somebody else"}, [], "x", None, {"sub": [SUBJECT]}])
def test_userinfo_must_speak_of_the_same_subject(about: Any, forger: Forger) -> None:
    forger.about = about
    client, answer = return_with(forger, lambda nonce: with_claims()(forger, nonce))
    assert answer.status_code == 401
    assert "_auth_user_id" not in client.session


@pytest.mark.parametrize("tokens", [{}, [], "x", None, {"access_token": 5}, {"access_token": None}, {"id_token": "x"}])
def test_a_token_answer_that_is_none_gets_a_page(tokens: Any, forger: Forger) -> None:
    client = Client()
    sent = parse_qs(urlsplit(client.get(LOGIN)["Location"]).query)
    forger.tokens = tokens
    answer = client.get(f"{LOGIN}callback/?code=c&state={sent['state'][0]}")
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "keys", [None, "x", [5], [{"kid": "good"}], [{"kid": "good", "alg": "RS256", "kty": "RSA", "n": "!", "e": "!"}]]
)
def test_a_key_set_that_cannot_be_read_gets_a_page(keys: Any, forger: Forger) -> None:
    forger.keys = keys
    _, answer = return_with(forger, lambda nonce: with_claims()(forger, nonce))
    assert answer.status_code == 401


def test_times_are_those_of_the_domains_clock(forger: Forger, settings: Any, tmp_path: Path) -> None:
    ahead = 90 * 86_400
    settings.CLOCK_OFFSET_FILE = str(tmp_path / "offset")
    (tmp_path / "offset").write_text(str(ahead))
    later = {"iat": In(ahead), "exp": In(ahead + 300)}
    assert return_with(forger, lambda nonce: with_claims(**later)(forger, nonce))[1].status_code == 302
    assert return_with(forger, lambda nonce: with_claims()(forger, nonce))[1].status_code == 401


def test_keys_are_fetched_once_and_again_for_an_unknown_id_but_not_for_each(forger: Forger) -> None:
    for _ in range(3):
        oidc.KEYS.find("good")
    assert forger.key_fetches == 1
    forger.keys.append(jwk("new", "RS256"))
    assert oidc.KEYS.find("new").key_id == "new"
    assert forger.key_fetches == 2
    for number in range(20):
        with pytest.raises(oidc.TokenError):
            oidc.KEYS.find(f"made up {number}")
    assert forger.key_fetches == 2


def test_keys_are_fetched_again_after_ten_minutes(forger: Forger, monkeypatch: pytest.MonkeyPatch) -> None:
    oidc.KEYS.find("good")
    forger.keys = [jwk("next", "RS256")]
    later = time.monotonic() + 601
    monkeypatch.setattr(oidc.time, "monotonic", lambda: later)
    with pytest.raises(oidc.TokenError):
        oidc.KEYS.find("good")


def test_keys_that_cannot_be_fetched_are_not_remembered_as_absent(forger: Forger, settings: Any) -> None:
    settings.KEYCLOAK_ISSUER = "http://127.0.0.1:9/realms/x"
    with pytest.raises(requests.ConnectionError):
        oidc.KEYS.find("good")
    settings.KEYCLOAK_ISSUER = forger.issuer
    assert oidc.KEYS.find("good").key_id == "good"
