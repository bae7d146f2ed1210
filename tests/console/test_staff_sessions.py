"""Staff see and end their own sessions; administrators those of all staff; nobody a subscriber's, and nobody's by guessing."""

from collections.abc import Callable
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from apps.console.columns import name_browser
from apps.core.models import AuditEntry

pytestmark = pytest.mark.django_db

Staff = Callable[..., Client]


def listed(client: Client, browser: str, ip: str = "192.0.2.1") -> UserSession:
    """The line of a browser that has logged in."""
    user, key = User.objects.get(pk=client.session["_auth_user_id"]), client.session.session_key
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
