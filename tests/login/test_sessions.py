"""How long a session lives, and that the account is looked at on every request."""

import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client

from apps.accounts.models import UserProfile
from apps.core import encryption
from apps.login import sessions
from apps.login.session_store import read_row
from tests.login.conftest import subscriber

MINUTE, HOUR = 60, 3600


@pytest.fixture
def nora(db: None) -> UserProfile:
    return subscriber("a-subject")


@pytest.fixture
def staff_user(db: None) -> User:
    return User.objects.create(username="sam", is_staff=True)


def in_for(user: User, *, total: int, idle: int) -> Client:
    """A browser whose session began `total` seconds ago and was last used `idle` seconds ago."""
    client = Client()
    client.force_login(user)
    session = client.session
    now = int(time.time())
    session[sessions.STARTED], session[sessions.SEEN] = now - total, now - idle
    session.save()
    return client


def still_in(client: Client) -> bool:
    client.get("/dashboard/")
    return "_auth_user_id" in client.session


@pytest.mark.parametrize(
    ("total", "idle", "kept"),
    [
        (0, 0, True),
        (29 * MINUTE, 29 * MINUTE, True),
        (31 * MINUTE, 31 * MINUTE, False),
        (12 * HOUR - 60, 10, True),
        (12 * HOUR + 10, 10, False),
    ],
)
def test_a_subscribers_session_ends_after_30_idle_minutes_or_12_hours(
    total: int, idle: int, kept: bool, nora: UserProfile
) -> None:
    assert still_in(in_for(nora.user, total=total, idle=idle)) is kept


@pytest.mark.parametrize(
    ("total", "idle", "kept"),
    [
        (14 * MINUTE, 14 * MINUTE, True),
        (16 * MINUTE, 16 * MINUTE, False),
        (8 * HOUR - 60, 10, True),
        (8 * HOUR + 10, 10, False),
    ],
)
def test_a_staff_session_ends_after_15_idle_minutes_or_8_hours(
    total: int, idle: int, kept: bool, staff_user: User
) -> None:
    assert still_in(in_for(staff_user, total=total, idle=idle)) is kept


def test_a_visit_starts_the_idle_time_anew(nora: UserProfile) -> None:
    client = in_for(nora.user, total=2 * HOUR, idle=20 * MINUTE)
    assert still_in(client)
    assert time.time() - client.session[sessions.SEEN] < MINUTE


def test_a_session_without_times_gets_them(nora: UserProfile, client: Client) -> None:
    client.force_login(nora.user)
    client.get("/dashboard/")
    assert time.time() - client.session[sessions.STARTED] < MINUTE


def test_an_ended_session_leads_to_login(nora: UserProfile) -> None:
    client = in_for(nora.user, total=HOUR, idle=HOUR)
    assert client.get("/dashboard/")["Location"] == "/accounts/oidc/keycloak/login/?next=/dashboard/"


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        ("active", True),
        ("grace", True),
        ("recovering", True),
        ("none", True),
        ("suspended", False),
        ("canceled", False),
        ("expired", False),
        ("on_hold", False),
    ],
)
def test_a_running_session_ends_when_the_account_may_not_be_used(
    state: str, kept: bool, nora: UserProfile, client: Client
) -> None:
    client.force_login(nora.user)
    assert client.get("/dashboard/").status_code == 200
    UserProfile.objects.filter(pk=nora.pk).update(access_state=state, access_reason={"code": "refunded"})
    answer = client.get("/dashboard/")
    assert answer.status_code == (200 if kept else 403)
    assert b"Your payment was refunded" in answer.content
    assert still_in(client) is kept


@pytest.mark.parametrize(
    ("state", "offered"),
    [
        ("suspended", b"Restore my account"),
        ("canceled", b"Come back"),
        ("expired", b"Sign up again"),
        ("on_hold", b"get in touch"),
    ],
)
def test_each_closed_account_is_told_what_to_do(state: str, offered: bytes, nora: UserProfile, client: Client) -> None:
    client.force_login(nora.user)
    UserProfile.objects.filter(pk=nora.pk).update(access_state=state)
    assert offered in client.get("/dashboard/").content


@pytest.mark.parametrize("path", ["/recovery/", "/onboarding/"])
def test_the_way_back_is_open_to_who_still_had_a_session(path: str, nora: UserProfile, client: Client) -> None:
    client.force_login(nora.user)
    UserProfile.objects.filter(pk=nora.pk).update(access_state="canceled")
    assert client.get(path).status_code == 200
    assert not still_in(client)


def test_a_user_switched_off_is_out_at_the_next_request(nora: UserProfile, client: Client) -> None:
    client.force_login(nora.user)
    User.objects.filter(pk=nora.user_id).update(is_active=False)
    assert client.get("/dashboard/").status_code == 302


def test_a_rehearsal_clock_far_ahead_logs_nobody_out(
    nora: UserProfile, client: Client, settings: Any, tmp_path: Any
) -> None:
    client.force_login(nora.user)
    settings.CLOCK_OFFSET_FILE = str(tmp_path / "offset")
    (tmp_path / "offset").write_text(str(60 * 86_400))
    assert still_in(client)


def test_visitors_cost_nothing(client: Client, db: None, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        client.get("/dashboard/")


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(client: Client, db: None) -> None:
    cookie = client.get("/accounts/oidc/keycloak/login/").cookies["frontdesk-sid"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")


def test_a_copy_of_the_database_lets_nobody_in(client: Client, nora: UserProfile, settings: Any) -> None:
    """Neither what a row is called nor what it holds is of use to who reads it."""
    client.force_login(nora.user)
    session = client.session
    session["note"] = "a word of hers"
    session.save()
    (row,) = Session.objects.all()
    thief = Client()
    for stolen in (row.session_key, row.session_data):
        thief.cookies[settings.SESSION_COOKIE_NAME] = stolen
        assert thief.get("/dashboard/").status_code == 302
    assert client.get("/dashboard/").status_code == 200
    assert session.session_key not in (row.session_key, row.session_data)
    assert "a word of hers" not in row.session_data
    assert (read_row(row.session_key) or {})["note"] == "a word of hers"


def test_what_a_session_keeps_is_no_code_of_a_mail(client: Client, nora: UserProfile) -> None:
    """Each purpose has a key of its own: what is written for one is never taken for the other."""
    client.force_login(nora.user)
    with pytest.raises(encryption.DecryptionError):
        encryption.decrypt(Session.objects.get().session_data)
