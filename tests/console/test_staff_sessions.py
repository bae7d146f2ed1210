"""Staff see and end their own sessions; administrators those of all staff; nobody a subscriber's, and nobody's by guessing."""

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from apps.accounts.models import UserProfile
from apps.core.models import AuditEntry, Job
from apps.identity import logout_everywhere
from apps.login import sessions
from apps.login.browsers import name_browser
from apps.login.session_store import row_key
from tests.console.conftest import log_in_freshly
from tests.console.desk import REASON, done, page_of, send
from tests.login.conftest import Person, fresh_keys, keycloak, person, subscriber
from tests.sandbox.keycloak_fixture import Standin

__all__ = ["fresh_keys", "keycloak", "person"]  # the fixtures

pytestmark = pytest.mark.django_db

Staff = Callable[..., Client]


@pytest.fixture
def nora(keycloak: Standin) -> UserProfile:
    """A subscriber whose account is within our reach, as onboarding makes them."""
    keycloak_id = keycloak.new_user("nora", firstName="Nora", lastName="Nyberg", groups=["/frontdesk"])
    keycloak.set_password(keycloak_id)
    return subscriber(keycloak_id)


def listed(client: Client, browser: str, ip: str = "192.0.2.1") -> UserSession:
    """The line of a browser that has logged in."""
    user, key = User.objects.get(pk=client.session["_auth_user_id"]), row_key(client.session.session_key or "")
    return UserSession.objects.create(user=user, session_key=key, ip=ip, user_agent=browser)


def end(client: Client, which: Any) -> Any:
    return client.post(reverse("admin:sessions_end", args=[which]))


def is_in(client: Client) -> bool:
    return client.get(reverse("admin:sessions")).status_code == 200


def page(client: Client) -> str:
    return client.get(reverse("admin:sessions")).content.decode()


def test_each_sees_and_ends_their_own_and_no_other(staff: Staff) -> None:
    here, there, ada, customer = staff("support"), staff("support"), staff("admin"), staff("")
    own, other = listed(here, "Firefox here"), listed(there, "Chrome there")
    foreign, subscribers = listed(ada, "Safari of ada"), listed(customer, "Phone of nora")
    text = page(here)
    assert ("Firefox here" in text, "Chrome there" in text, "This one" in text) == (True, True, True)
    assert ("Safari" in text, "Phone" in text, "Other staff" in text) == (False, False, False)
    for pk in (foreign.pk, subscribers.pk, own.pk, 999_999):
        assert end(here, pk).status_code == 302
    assert end(here, "x").status_code == 404
    assert (is_in(ada), is_in(here), is_in(there), "_auth_user_id" in customer.session) == (True, True, True, True)
    assert end(here, other.pk)["Location"] == reverse("admin:sessions")
    assert "The session has ended." in page(here)
    assert (is_in(here), is_in(there)) == (True, False)
    entry = AuditEntry.objects.get(action="sessions_ended")
    assert (entry.subject_kind, entry.actor, entry.after) == ("user", "staff:support-ada", {"sessions": 1})


def test_all_others_of_ones_own_end_at_once(staff: Staff) -> None:
    browsers = [staff("admin") for _ in range(3)]
    for number, one in enumerate(browsers):
        listed(one, f"Browser {number}")
    support = staff("support")
    listed(support, "Support's")
    assert end(browsers[0], "all").status_code == 302
    assert [is_in(one) for one in (*browsers, support)] == [True, False, False, True]


def test_an_administrator_ends_somebody_elses(staff: Staff) -> None:
    ada, support, customer = staff("admin"), staff("support"), staff("")
    listed(ada, "Safari of ada")
    theirs, subscribers = listed(support, "Chrome there"), listed(customer, "Phone of nora")
    text = page(ada)
    assert ("Other staff" in text, "Chrome there" in text, "Phone" in text) == (True, True, False)
    assert end(ada, theirs.pk).status_code == 302
    assert end(ada, subscribers.pk).status_code == 302
    assert (is_in(support), "_auth_user_id" in customer.session) == (False, True)
    assert AuditEntry.objects.get(action="sessions_ended").actor == "staff:admin-ada"


@pytest.mark.parametrize("which", ["one", "all"])
def test_with_an_old_login_nobodys_session_ends(which: str, staff: Staff) -> None:
    """So a borrowed console cannot put all staff out."""
    ada, support = staff("admin"), staff("support")
    listed(ada, "Safari of ada")
    theirs = listed(support, "Chrome there")
    own = staff("admin")
    listed(own, "Ada's other")
    log_in_freshly(ada, minutes=6)
    session = ada.session
    session[sessions.CHECKED] = time.time()
    session.save()
    answer = end(ada, theirs.pk if which == "one" else "all")
    asked = urlsplit(answer["Location"])
    assert (asked.path, parse_qs(asked.query)["next"]) == (
        "/accounts/oidc/keycloak/login/",
        [reverse("admin:sessions")],
    )
    assert (is_in(support), is_in(own)) == (True, True)
    assert not AuditEntry.objects.filter(action="sessions_ended").exists()
    assert AuditEntry.objects.get(action="action_refused").reason == "no fresh login"
    assert "Nothing has been done yet" in page(ada)


def test_staff_end_all_sessions_of_a_subscriber_here_and_at_keycloak(
    staff: Staff, keycloak: Standin, person: Person, nora: UserProfile
) -> None:
    assert person.log_in("nora").status_code == 302
    there = Person(keycloak)
    there.log_in("nora")
    answer = send(staff("operator"), nora, "end_sessions")
    assert done(answer)
    assert (person.here.get("/dashboard/").status_code, there.here.get("/dashboard/").status_code) == (302, 302)
    entry = AuditEntry.objects.get(action="sessions_ended")
    assert (entry.subject_kind, entry.subject_id, entry.actor) == ("profile", str(nora.pk), "staff:operator-ada")
    assert (entry.reason, entry.after) == (REASON, {"sessions": 2})
    logout_everywhere.end_keycloak_sessions(Job.objects.get(kind=logout_everywhere.KIND).key)
    assert keycloak.call("GET", f"/users/{nora.keycloak_id}/sessions").json() == []
    assert person.log_in("nora").status_code == 302  # to keep somebody out there is the hold


@pytest.mark.parametrize("why", ["is staff", "is closed"])
def test_a_subscriber_who_is_staff_or_closed_is_out_of_reach_there(why: str, staff: Staff, nora: UserProfile) -> None:
    if why == "is staff":
        User.objects.filter(pk=nora.user_id).update(is_staff=True)
    else:
        UserProfile.objects.filter(pk=nora.pk).update(access_state="suspended")
    client = staff("operator")
    assert "End sessions" not in page_of(client, nora)
    assert not done(send(client, nora, "end_sessions"))
    assert not Job.objects.filter(kind=logout_everywhere.KIND).exists()


def test_it_is_for_staff_changes_nothing_by_get_and_needs_the_token(staff: Staff) -> None:
    address, ends = reverse("admin:sessions"), reverse("admin:sessions_end", args=["all"])
    assert staff("").get(address).status_code == 403
    assert staff("").post(ends).status_code == 403
    assert Client().get(address).status_code == 302
    client = staff("viewer", csrf=True)
    assert client.post(ends).status_code == 403
    assert client.get(ends).status_code == 405
    assert address in client.get(reverse("admin:index")).content.decode()


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36", "Chrome on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0", "Edge on Windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) AppleWebKit/605.1 Version/18.0 Safari/605.1", "Safari on macOS"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) FxiOS/130.0 Mobile Safari/605.1", "Firefox on iPhone"),
        ("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0.0.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.5.0", "Another browser"),
        ("", "Another browser"),
    ],
)  # fmt: skip
def test_a_browser_is_named_in_a_few_words(user_agent, name):
    assert name_browser(user_agent) == name
