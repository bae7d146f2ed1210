"""A subscriber sees where they are logged in, ends one of these or all, here and at Keycloak; nobody else's, and not with an old login."""

import datetime as dt
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.contrib.sessions.models import Session
from django.test import Client

from apps.accounts.models import UserProfile
from apps.core.models import AuditEntry, Job
from apps.identity import logout_everywhere
from apps.login import reauthentication, sessions
from apps.login.session_store import row_key
from tests.login.conftest import Person, fresh_keys, keycloak, local, person, subscriber
from tests.sandbox.keycloak_fixture import Standin

__all__ = ["fresh_keys", "keycloak", "person"]  # the fixtures
URL, END, END_ALL = "/dashboard/sessions/", "/dashboard/sessions/end/", "/dashboard/sessions/end-all/"
PHONE = "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0.0.0 Mobile Safari/537.36"


@pytest.fixture
def nora(keycloak: Standin) -> UserProfile:
    """A subscriber whose account is within our reach, as onboarding makes them."""
    keycloak_id = keycloak.new_user("nora", firstName="Nora", lastName="Nyberg", groups=["/frontdesk"])
    keycloak.set_password(keycloak_id)
    return subscriber(keycloak_id)


@pytest.fixture
def log_in(keycloak: Standin) -> Callable[..., Person]:
    """A browser of its own in which somebody has logged in."""

    def made(
        name: str = "nora", browser: str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko Firefox/140.0"
    ) -> Person:
        one = Person(keycloak)
        one.here.defaults["HTTP_USER_AGENT"] = browser
        assert one.log_in(name).status_code == 302
        return one

    return made


def listed(one: Person) -> UserSession:
    return UserSession.objects.get(session_key=row_key(one.here.session.session_key or ""))


def inside(one: Person) -> bool:
    return one.here.get("/dashboard/").status_code == 200


def at_keycloak(keycloak: Standin, profile: UserProfile) -> list[str]:
    return [row["id"] for row in keycloak.call("GET", f"/users/{profile.keycloak_id}/sessions").json()]


def grow_stale(one: Person, until: int = 1) -> None:
    session = one.here.session
    session[reauthentication.FRESH_UNTIL] = until
    session.save()


def said(answer: Any) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def audit_lines() -> list[tuple[str, str, str, dict[str, Any]]]:
    found = AuditEntry.objects.filter(action="sessions_ended").order_by("id")
    return list(found.values_list("subject_kind", "subject_id", "actor", "after"))


def run_the_job() -> None:
    for key in Job.objects.filter(kind=logout_everywhere.KIND).values_list("key", flat=True):
        logout_everywhere.end_keycloak_sessions(key)


def test_the_page_lists_ones_own_browsers_and_marks_this_one(nora: UserProfile, log_in: Any, keycloak: Standin) -> None:
    omar = keycloak.new_user("omar", firstName="Omar", lastName="Other")
    keycloak.set_password(omar)
    subscriber(omar, "omar")
    laptop, phone, other = (
        log_in(),
        log_in(browser=PHONE),
        log_in("omar", "Mozilla/5.0 (Macintosh; Mac OS X) Safari/605.1"),
    )
    page = laptop.here.get(URL).content.decode()
    assert ("Firefox on Linux" in page, "Chrome on Android" in page, "Safari on macOS" in page) == (True, True, False)
    assert page.count("This one") == 1
    assert page.index("This one") < page.index("Chrome on Android")
    assert f'value="{listed(phone).pk}"' in page
    assert f'value="{listed(laptop).pk}"' not in page
    assert (inside(other), "Where you" in page) == (True, True)
    assert URL in laptop.here.get("/dashboard/").content.decode()


def test_a_session_that_rested_too_long_is_not_listed(nora: UserProfile, log_in: Any) -> None:
    laptop, phone = log_in(), log_in(browser=PHONE)

    row = Session.objects.get(pk=row_key(phone.here.session.session_key or ""))
    row.expire_date -= dt.timedelta(minutes=20)  # staff would be out
    row.save()
    assert "Chrome on Android" in laptop.here.get(URL).content.decode()
    row.expire_date -= dt.timedelta(minutes=11)
    row.save()
    assert "Chrome on Android" not in laptop.here.get(URL).content.decode()


def test_ending_one_ends_it_here_and_at_keycloak_and_no_other(
    nora: UserProfile, log_in: Any, keycloak: Standin
) -> None:
    laptop, phone, tablet = log_in(), log_in(browser=PHONE), log_in()
    kept = [listed(one).data["sid"] for one in (laptop, tablet)]
    answer = laptop.here.post(END, {"session": listed(phone).pk})
    assert (answer.status_code, answer["Location"]) == (302, URL)
    assert "Chrome on Android is logged out." in said(answer)
    assert (inside(laptop), inside(phone), inside(tablet)) == (True, False, True)
    assert sorted(at_keycloak(keycloak, nora)) == sorted(kept)
    assert phone.there("GET", phone.to_keycloak()).status_code == 200  # the form: no single sign-on
    assert audit_lines() == [("profile", str(nora.pk), "customer", {"sessions": 1})]


def test_where_keycloak_is_away_it_ends_here_and_the_page_says_what_is_left(
    nora: UserProfile, log_in: Any, keycloak: Standin
) -> None:
    laptop, phone = log_in(), log_in(browser=PHONE)
    keycloak.fault("down")
    answer = laptop.here.post(END, {"session": listed(phone).pk})
    assert "log out everywhere" in said(answer)
    assert not inside(phone)
    assert len(audit_lines()) == 1


def test_nobody_ends_anothers_this_one_or_one_that_is_none(nora: UserProfile, log_in: Any, keycloak: Standin) -> None:
    omar = keycloak.new_user("omar", firstName="Omar", lastName="Other")
    keycloak.set_password(omar)
    subscriber(omar, "omar")
    laptop, other = log_in(), log_in("omar")
    for wish in (listed(other).pk, listed(laptop).pk, 999_999, "x", "", "-1", "1" * 40, "١"):
        answer = laptop.here.post(END, {"session": wish})
        assert "That session was over already." in said(answer), wish
    assert (inside(laptop), inside(other)) == (True, True)
    assert audit_lines() == []


def test_log_out_everywhere_ends_all_here_and_at_keycloak_this_one_included(
    nora: UserProfile, log_in: Any, keycloak: Standin
) -> None:
    omar = keycloak.new_user("omar", firstName="Omar", lastName="Other")
    keycloak.set_password(omar)
    subscriber(omar, "omar")
    laptop, phone, other = log_in(), log_in(browser=PHONE), log_in("omar")
    answer = laptop.here.post(END_ALL)
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert answer["Clear-Site-Data"] == '"cache", "storage"'
    goodbye = laptop.here.get("/").content.decode()
    assert ("You are logged out" in goodbye, "logged out everywhere" in goodbye) == (True, True)
    assert (inside(laptop), inside(phone), inside(other)) == (False, False, True)
    assert laptop.there("GET", laptop.to_keycloak()).status_code == 200  # at once, even before the job
    run_the_job()
    assert at_keycloak(keycloak, nora) == []
    assert phone.there("GET", phone.to_keycloak()).status_code == 200
    assert audit_lines() == [("profile", str(nora.pk), "customer", {"sessions": 2})]
    assert phone.log_in("nora").status_code == 302  # nobody is kept out


def test_an_outage_of_keycloak_keeps_nobody_in(nora: UserProfile, log_in: Any, keycloak: Standin) -> None:
    laptop, phone = log_in(), log_in()
    keycloak.fault("down")
    assert laptop.here.post(END_ALL).status_code == 302
    keycloak.fault("ok")
    assert (inside(laptop), inside(phone)) == (False, False)
    assert len(at_keycloak(keycloak, nora)) == 2
    run_the_job()
    assert at_keycloak(keycloak, nora) == []


def test_the_job_is_content_with_an_account_that_is_gone(nora: UserProfile, keycloak: Standin) -> None:
    keycloak.call("DELETE", f"/users/{nora.keycloak_id}")
    logout_everywhere.end_keycloak_sessions(str(nora.pk))
    logout_everywhere.end_keycloak_sessions("999999")


@pytest.mark.parametrize("url", [END, END_ALL])
def test_with_an_old_login_nothing_ends_and_the_person_comes_back_after_a_new_one(
    url: str, nora: UserProfile, log_in: Any
) -> None:
    """So a borrowed browser cannot lock its owner out (ASVS 7.5.2)."""
    laptop, phone = log_in(), log_in()
    wish = {"session": listed(phone).pk}
    grow_stale(laptop)
    answer = laptop.here.post(url, wish)
    asked = urlsplit(answer["Location"])
    assert (asked.path, parse_qs(asked.query)["next"]) == ("/accounts/oidc/keycloak/login/", [URL])
    assert "Nothing has been ended yet" in said(answer)
    assert (inside(phone), audit_lines()) == (True, [])
    to_keycloak = laptop.to_keycloak(answer["Location"])
    assert "max_age" in parse_qs(urlsplit(to_keycloak).query)
    back = laptop.here.get(local(laptop.at_keycloak(to_keycloak, "nora")))
    assert back["Location"] == URL
    page = laptop.here.get(URL).content.decode()
    assert "Nothing has been ended yet" in page
    assert page.count("This one") == 1
    laptop.here.post(url, wish)
    assert not inside(phone)


def test_a_keycloak_that_does_not_date_its_logins_is_no_loop(nora: UserProfile, log_in: Any) -> None:
    laptop, phone = log_in(), log_in()
    grow_stale(laptop, 0)
    answer = laptop.here.post(END, {"session": listed(phone).pk})
    assert answer["Location"] == URL
    assert "get in touch" in said(answer)
    assert inside(phone)


def test_it_is_for_subscribers_changes_nothing_by_get_and_needs_the_token(
    nora: UserProfile, log_in: Any, client: Client
) -> None:
    for asked in (client.get(URL), client.post(END), client.post(END_ALL)):  # a button's address shows nothing
        assert parse_qs(urlsplit(asked["Location"]).query)["next"] == [URL]
    laptop = log_in()
    for url in (END, END_ALL):
        assert laptop.here.get(url).status_code == 405
        laptop.here.handler.enforce_csrf_checks = True
        assert laptop.here.post(url).status_code == 403
        laptop.here.handler.enforce_csrf_checks = False
    assert inside(laptop)
    client.force_login(User.objects.create(username="sam", is_staff=True))
    assert client.get(URL)["Location"] == "/admin/sessions/"
    client.force_login(User.objects.create(username="nobody"))
    assert client.get(URL).status_code == 403


def test_the_page_costs_four_queries(nora: UserProfile, log_in: Any, django_assert_num_queries: Any) -> None:
    laptop = log_in()
    for _ in range(5):
        log_in()
    with django_assert_num_queries(4):  # one of them for the menu
        assert laptop.here.get(URL).status_code == 200


def test_what_is_shown_of_a_session_is_what_was_stored_already(nora: UserProfile, log_in: Any) -> None:
    laptop = log_in()
    assert sorted(field.name for field in UserSession._meta.fields) == [
        "created_at", "data", "id", "ip", "last_seen_at", "session_key", "user", "user_agent",
    ]  # fmt: skip
    assert sessions.find_id_token(row_key(laptop.here.session.session_key or "")).startswith("eyJ")
    assert sessions.find_id_token("nothing") == ""
