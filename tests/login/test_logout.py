"""Out here means out at Keycloak, and out at Keycloak means out here; and only Keycloak can say so."""

import html
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.usersessions.models import UserSession
from django.http import HttpResponse
from django.test import Client

from apps.accounts.models import UserProfile
from apps.core.models import AuditEntry
from apps.login import oidc, sessions
from apps.login.models import UsedLogoutToken
from apps.login.session_store import row_key
from tests.login.conftest import Person, subscriber
from tests.login.forger import SUBJECT, Forger, In, forging
from tests.sandbox.keycloak_fixture import Standin, action

URL = "/oidc/backchannel-logout/"


def sessions_at(keycloak: Standin, profile: UserProfile) -> int:
    return len(keycloak.call("GET", f"/users/{profile.keycloak_id}/sessions").json())


def test_logging_out_ends_both_sessions_and_comes_back(person: Person, nora: UserProfile, keycloak: Standin) -> None:
    person.log_in("nora")
    answer = person.here.post("/logout/")
    assert (answer.status_code, answer["Location"]) == (302, "/")  # nothing about the person in an address
    assert person.user_id is None
    assert not UserSession.objects.exists()
    assert sessions_at(keycloak, nora) == 0
    assert b"You are logged out" in person.here.get("/").content
    assert person.there("GET", person.to_keycloak()).status_code == 200  # the form: Keycloak has forgotten us


def test_the_browser_is_told_to_forget_and_keeps_what_it_needs_for_the_goodbye(
    person: Person, nora: UserProfile, keycloak: Standin
) -> None:
    person.log_in("nora")
    person.here.get("/dashboard/")
    assert "frontdesk-csrf" in person.here.cookies
    answer = person.here.post("/logout/")
    assert answer["Clear-Site-Data"] == '"cache", "storage"'
    assert answer.cookies["frontdesk-csrf"]["max-age"] == 0
    assert person.here.session.get("_auth_user_id") is None
    assert "Clear-Site-Data" not in Client().post("/logout/")


@pytest.mark.parametrize("trouble", ["http_503", "down"])
def test_while_keycloak_is_away_the_goodbye_is_ours_and_says_so(
    trouble: str, person: Person, nora: UserProfile, keycloak: Standin
) -> None:
    person.log_in("nora")
    keycloak.fault(trouble)
    assert person.here.post("/logout/")["Location"] == "/"
    assert person.user_id is None
    assert not UserSession.objects.exists()
    page = person.here.get("/").content.decode()
    assert "You are logged out here" in page
    assert "log out of the login service" in page
    keycloak.fault("ok")
    (link,) = re.findall(r'<a href="([^"]+logout[^"]+)"', page)
    question = person.there("GET", html.unescape(link))
    person.there("POST", action(question))
    assert sessions_at(keycloak, nora) == 0


def test_where_keycloak_does_not_end_it_the_person_is_asked_there_without_being_named(
    person: Person, nora: UserProfile, keycloak: Standin
) -> None:
    person.log_in("nora")
    session = person.here.session
    session[sessions.ID_TOKEN] = "x.y.z"
    session.save()
    asked = person.here.post("/logout/")["Location"]
    assert person.user_id is None
    assert not UserSession.objects.exists()
    assert asked.startswith(f"{keycloak.issuer}/protocol/openid-connect/logout?")
    assert sorted(parse_qs(urlsplit(asked).query)) == ["client_id", "post_logout_redirect_uri", "ui_locales"]
    assert sessions_at(keycloak, nora) == 1
    page = person.there("GET", asked)
    assert "Do you want to log out?" in page.text
    assert person.there("POST", action(page)).headers["Location"] == "http://localhost:8000/"
    assert sessions_at(keycloak, nora) == 0
    assert b"You are logged out" in person.here.get("/").content


def test_a_keycloak_that_is_away_holds_nobody_here(person: Person, nora: UserProfile, settings: Any) -> None:
    person.log_in("nora")
    settings.KEYCLOAK_ISSUER = "http://127.0.0.1:9/realms/x"
    assert person.here.post("/logout/")["Location"] == "/"
    assert person.user_id is None


def test_logging_out_is_never_a_link(person: Person, nora: UserProfile) -> None:
    person.log_in("nora")
    assert person.here.get("/logout/").status_code == 405
    assert person.user_id is not None


def test_logging_out_needs_the_csrf_token(person: Person, nora: UserProfile) -> None:
    person.here.handler.enforce_csrf_checks = True
    person.log_in("nora")
    assert person.here.post("/logout/").status_code == 403
    assert person.user_id is not None


def test_a_visitor_who_logs_out_is_just_taken_home(db: None, client: Client) -> None:
    assert client.post("/logout/")["Location"] == "/"


def test_the_other_browser_of_the_same_person_stays_logged_in(
    person: Person, nora: UserProfile, keycloak: Standin
) -> None:
    other = Person(keycloak)
    other.log_in("nora")
    person.log_in("nora")
    person.here.post("/logout/")
    assert other.user_id is not None


@pytest.fixture
def forger(settings: Any, db: None) -> Iterator[Forger]:
    with forging() as made:
        settings.KEYCLOAK_ISSUER = made.issuer
        yield made


def logged_in(profile: UserProfile, *, sid: str) -> Client:
    """A browser with a session that Keycloak knows as `sid`."""
    client = Client()
    client.force_login(profile.user)
    UserSession.objects.create(
        user=profile.user,
        session_key=row_key(client.session.session_key or ""),
        ip="127.0.0.1",
        user_agent="test",
        data={"sid": sid},
    )
    return client


def is_in(client: Client) -> bool:
    return client.get("/dashboard/").status_code == 200


def tell(forger: Forger, *, sign: dict[str, Any] | None = None, **changes: Any) -> HttpResponse:
    """POST a logout token: a good one with changes; None takes a claim away."""
    said = {
        "sid": "s1",
        "exp": In(120),
        "jti": "j1",
        "typ": "Logout",
        "azp": None,
        "auth_time": None,
        "events": {oidc.LOGOUT_EVENT: {}},
    } | changes
    token = forger.sign(forger.claims(**said), **({"typ": "logout+jwt"} | (sign or {})))
    return Client(enforce_csrf_checks=True).post(URL, {"logout_token": token})


def test_keycloak_ends_the_session_it_names_and_no_other(forger: Forger) -> None:
    nora, other = subscriber(SUBJECT), subscriber("another-subject", "omar")
    one, two, theirs = logged_in(nora, sid="s1"), logged_in(nora, sid="s2"), logged_in(other, sid="s1")
    answer = tell(forger)
    assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
    assert (is_in(one), is_in(two), is_in(theirs)) == (False, True, True)


def test_without_a_session_it_ends_all_of_the_person(forger: Forger) -> None:
    nora, other = subscriber(SUBJECT), subscriber("another-subject", "omar")
    one, two, theirs = logged_in(nora, sid="s1"), logged_in(nora, sid="s2"), logged_in(other, sid="s3")
    assert tell(forger, sid=None).status_code == 200
    assert (is_in(one), is_in(two), is_in(theirs)) == (False, False, True)


def test_without_a_person_it_ends_the_session(forger: Forger) -> None:
    nora = subscriber(SUBJECT)
    one, two = logged_in(nora, sid="s1"), logged_in(nora, sid="s2")
    assert tell(forger, sub=None).status_code == 200
    assert (is_in(one), is_in(two)) == (False, True)


@pytest.mark.parametrize("changes", [{}, {"sid": None}, {"sub": None}])
def test_keycloaks_word_is_one_line_of_the_audit_trail(changes: dict[str, Any], forger: Forger) -> None:
    nora, other = subscriber(SUBJECT), subscriber("another-subject", "omar")
    logged_in(nora, sid="s1")
    logged_in(other, sid="s9")
    for number in range(2):
        assert tell(forger, jti=f"j{number}", **changes).status_code == 200
    entry = AuditEntry.objects.get(action="logged_out")
    assert (entry.subject_kind, entry.subject_id, entry.actor) == ("profile", str(nora.pk), "system")
    assert entry.reason == "Keycloak ended the session"


@pytest.mark.parametrize("typ", ["logout+jwt", "application/logout+jwt", "LOGOUT+JWT"])
def test_the_type_of_a_logout_token_has_several_spellings(typ: str, forger: Forger) -> None:
    client = logged_in(subscriber(SUBJECT), sid="s1")
    assert tell(forger, sign={"typ": typ}).status_code == 200
    assert not is_in(client)


def test_a_person_we_do_not_know_is_no_error(forger: Forger) -> None:
    assert tell(forger).status_code == 200


def test_a_logout_token_works_once(forger: Forger) -> None:
    nora = subscriber(SUBJECT)
    assert tell(forger).status_code == 200
    client = logged_in(nora, sid="s1")
    assert tell(forger).status_code == 400
    assert is_in(client)


BAD: dict[str, dict[str, Any]] = {
    "iss another": {"iss": "https://evil.example"},
    "aud another": {"aud": "nextcloud"},
    "too old": {"iat": In(-400), "exp": In(60)},
    "from the future": {"iat": In(400), "exp": In(500)},
    "over": {"exp": In(-100)},
    "iat missing": {"iat": None},
    "events missing": {"events": None},
    "events another": {"events": {"http://schemas.openid.net/event/other": {}}},
    "events not an object": {"events": [oidc.LOGOUT_EVENT]},
    "event not an object": {"events": {oidc.LOGOUT_EVENT: "x"}},
    "a nonce": {"nonce": "n"},
    "an empty nonce": {"nonce": ""},
    "no jti": {"jti": None},
    "jti not text": {"jti": 5},
    "jti with a NUL": {"jti": "a\x00b"},
    "jti too long": {"jti": "x" * 300},
    "neither sub nor sid": {"sub": None, "sid": None},
    "sub not text": {"sub": ["x"]},
    "sid with a NUL": {"sid": "\x00"},
    "another key": {"sign": {"kid": "stranger"}},
    "another algorithm": {"sign": {"alg": "RS512"}},
    "a secret": {"sign": {"alg": "HS256", "key": "x" * 40}},
    "typ of an ID token": {"sign": {"typ": "JWT"}},
    "typ of an access token": {"sign": {"typ": "at+jwt"}},
    "typ missing": {"sign": {"typ": None}},
    "typ not text": {"sign": {"typ": 5}},
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_logout_token_ends_nothing(kind: str, forger: Forger) -> None:
    client = logged_in(subscriber(SUBJECT), sid="s1")
    answer = tell(forger, **BAD[kind])
    assert (answer.status_code, answer["Cache-Control"]) == (400, "no-store")
    assert is_in(client)
    assert not UsedLogoutToken.objects.exists()


@pytest.mark.parametrize(
    "form", [{}, {"logout_token": ""}, {"logout_token": "x"}, {"logout_token": "a" * 100_000}, {"token": "x"}]
)
def test_no_logout_token_at_all_is_400(form: dict[str, str], db: None, client: Client) -> None:
    assert client.post(URL, form).status_code == 400


def test_only_post_is_listened_to(client: Client, db: None) -> None:
    assert client.get(URL).status_code == 405


def test_a_keycloak_that_is_away_while_we_check_is_400(forger: Forger, settings: Any) -> None:
    token = forger.sign({"iss": "x"})
    settings.KEYCLOAK_ISSUER = "http://127.0.0.1:9/realms/x"
    assert Client().post(URL, {"logout_token": token}).status_code == 400


def test_the_stand_ins_own_logout_token_is_understood(person: Person, nora: UserProfile, keycloak: Standin) -> None:
    """What Keycloak's session id in the ID token and in the logout token have in common."""
    person.log_in("nora")
    listed = UserSession.objects.get(user=nora.user)
    known = [row["id"] for row in keycloak.call("GET", f"/users/{nora.keycloak_id}/sessions").json()]
    assert [listed.data["sid"]] == known


def test_ending_sessions_reaches_those_on_no_list(db: None, client: Client) -> None:
    nora = subscriber(SUBJECT)
    client.force_login(nora.user)
    assert is_in(client)
    sessions.end_sessions(nora.user)
    assert not is_in(client)


def test_old_logout_tokens_and_sessions_are_forgotten(db: None, settings: Any, tmp_path: Any) -> None:
    client = logged_in(subscriber(SUBJECT), sid="s1")
    UsedLogoutToken.use("old")
    sessions.prune()
    assert (UserSession.objects.count(), UsedLogoutToken.objects.count()) == (1, 1)
    client.session.delete()
    settings.CLOCK_OFFSET_FILE = str(tmp_path / "offset")
    (tmp_path / "offset").write_text(str(2 * 86_400))
    sessions.prune()
    assert (UserSession.objects.count(), UsedLogoutToken.objects.count()) == (0, 0)
