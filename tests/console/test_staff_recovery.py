"""What staff do for somebody who canceled: a code, the way back opened and closed, the place kept; and who is where in the list."""

import datetime as dt
import re
from collections.abc import Callable

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from apps.access.models import AccessOverride
from apps.accounts.models import UserProfile
from apps.console.admin.subscribers import SubscriberAdmin
from apps.console.columns import when
from apps.core import clock
from apps.core.models import Job
from tests.console.desk import REASON, cancel, dialog, done, lines, page_of, send
from tests.world import World

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]
ACTIONS = ("send_code", "open_window", "close_window", "keep_seat")


def not_offered(profile: UserProfile) -> set[str]:
    """Those of the four actions that would do nothing for this person now."""
    page = SubscriberAdmin(UserProfile, admin.site)
    profile = UserProfile.objects.get(pk=profile.pk)
    return {name for name in ACTIONS if page.refusal_of(f"accounts_userprofile_{name}", profile)}


def gone(town: World, name: str = "dana") -> UserProfile:
    profile = town.subscriber(name)
    cancel(town, profile)
    return profile


def later(profile: UserProfile, days: int = 30) -> dt.date:
    """A day that many days after the place would be given up."""
    profile.refresh_from_db()
    assert profile.final_expiry_at is not None
    return (profile.final_expiry_at + dt.timedelta(days=days)).date()


@pytest.mark.parametrize("action", ACTIONS)
def test_a_viewer_may_not_and_support_may(action: str, town: World, staff: Staff) -> None:
    dana = gone(town)
    if action == "close_window":
        send(staff("support"), dana, "open_window")
    filled = {"until": later(dana).isoformat()} if action == "keep_seat" else {}
    assert staff("viewer").get(dialog(dana, action)).status_code == 403
    assert send(staff("viewer"), dana, action, **filled).status_code == 403
    assert dialog(dana, action) not in page_of(staff("viewer"), dana)
    assert dialog(dana, action) in page_of(staff("support"), dana)
    assert not done(send(staff("support"), dana, action, **filled, reason="short"))
    assert done(send(staff("support"), dana, action, **filled))


def test_a_code_sent_by_staff_opens_the_way_back_in_any_browser(town: World, staff: Staff, client: Client) -> None:
    dana = gone(town)
    answer = send(staff("support"), dana, "send_code")
    assert done(answer)
    again = send(staff("support"), dana, "send_code")
    assert "within the last minute" in again.content.decode()
    town.deliver()
    assert lines(dana, "recovery_code_requested") == [("staff:support-ada", REASON)]
    assert Job.objects.filter(kind="send_recovery_code").count() == 1
    mail = town.standin.inbox(dana.email)[0]
    code = re.findall(r"\b[0-9A-Z]{4}-[0-9A-Z]{4}\b", mail["text"])[0]
    assert code not in page_of(staff("admin"), dana)
    page = client.get("/recovery/")
    assert page.status_code == 200
    proven = client.post("/recovery/verify-code/", {"email": dana.email, "code": code}, content_type="application/json")
    assert proven.status_code == 200, proven.content
    town.deliver()
    assert town.state(dana).access == "recovering"


def test_the_window_is_opened_and_closed_and_the_place_stays(town: World, staff: Staff) -> None:
    dana, client = gone(town), staff("support")
    before = town.state(dana)
    assert (before.account, before.seats) == (False, (("nextcloud", "retained"),))
    assert done(send(client, dana, "open_window"))
    assert "Recovery is already open until" in send(client, dana, "open_window").content.decode()
    town.deliver()
    opened = town.state(dana)
    until = dana.recovering_until
    assert (opened.access, opened.account, opened.groups, opened.attributes) == ("recovering", True, (), {})
    assert opened.seats == before.seats
    assert done(send(client, dana, "close_window"))
    assert "No recovery is open." in send(client, dana, "close_window").content.decode()
    town.deliver()
    assert town.state(dana) == before
    assert f"<b>{when(until)}</b>" in page_of(client, dana)  # a moment in the timeline reads like one
    assert lines(dana, "recovery_opened") == lines(dana, "recovery_closed") == [("staff:support-ada", REASON)]
    assert town.jobs() == []


def test_a_kept_place_outlives_the_terms_and_ends_when_it_is_lifted(town: World, staff: Staff) -> None:
    dana = gone(town)
    terms, day = dana.final_expiry_at, later(dana)
    assert done(send(staff("support"), dana, "keep_seat", until=day.isoformat()))
    again = send(staff("support"), dana, "keep_seat", until=day.isoformat())
    assert "is kept until" in again.content.decode()
    assert not done(again)
    town.deliver()
    dana.refresh_from_db()
    assert dana.final_expiry_at == dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), dt.UTC)
    assert lines(dana, "override_added") == [("staff:support-ada", REASON)]

    row = AccessOverride.objects.get(profile=dana)
    lift = dialog(row, "lift")
    assert lift in page_of(staff("operator"), dana)
    assert lift not in page_of(staff("support"), dana)
    assert done(send(staff("operator"), row, "lift"))
    town.deliver()
    dana.refresh_from_db()
    assert dana.final_expiry_at == terms
    assert lift not in page_of(staff("operator"), dana)
    assert town.jobs() == []


def test_what_would_do_nothing_is_not_offered_and_refused_with_a_sentence(town: World, staff: Staff) -> None:
    ada, client = town.subscriber("ada"), staff("admin")
    assert not_offered(ada) == set(ACTIONS)
    text = page_of(client, ada)
    assert not [action for action in ACTIONS if dialog(ada, action) in text]
    refusals = {
        "open_window": "Logging in is enough",
        "close_window": "No recovery is open.",
        "keep_seat": "Nothing has ended",
    }
    for action, sentence in refusals.items():
        answer = send(client, ada, action, until="2999-01-01")
        assert sentence in answer.content.decode()
        assert not done(answer)
    assert AccessOverride.objects.count() == 0


def test_who_has_expired_gets_a_code_and_nothing_else(town: World, staff: Staff) -> None:
    dana = gone(town)
    town.pass_time(days=(later(dana, 2) - clock.now().date()).days)
    town.sweep()
    town.deliver()
    assert town.state(dana).access == "expired"
    assert not_offered(dana) == {"open_window", "close_window", "keep_seat"}
    client = staff("support")
    assert "sign up again" in send(client, dana, "open_window").content.decode()
    assert "They can sign up again" in send(client, dana, "keep_seat", until="2999-01-01").content.decode()
    assert done(send(client, dana, "send_code"))


def test_a_hold_is_not_lifted_by_a_recovery(town: World, staff: Staff) -> None:
    dana = gone(town)
    send(staff("operator"), dana, "hold", confirmation="dana")
    town.deliver()
    answer = send(staff("admin"), dana, "open_window")
    assert "The account is on hold." in answer.content.decode()
    assert town.state(dana).account is False


def _person(name: str, state: str, **dates: dt.datetime) -> None:
    UserProfile.objects.create(
        user=User.objects.create(username=name),
        email=f"{name}@example.com",
        access_state=state,
        created_at=clock.now(),
        **dates,
    )


def test_the_list_shows_who_is_on_the_way_out_and_the_next_to_go_first(staff: Staff) -> None:
    now = clock.now()
    for state, field in (
        ("recovering", "access_until"),
        ("canceled", "final_expiry_at"),
        ("expired", "final_expiry_at"),
    ):
        for name, days in (("late", 9), ("soon", 2), ("middle", 5)):
            _person(f"{state}-{name}", state, **{field: now + dt.timedelta(days=days)})
    client = staff("support")
    address = reverse("admin:accounts_userprofile_changelist")
    orders = {
        "recovering": ["soon", "middle", "late"],
        "canceled": ["soon", "middle", "late"],
        "expired": ["late", "middle", "soon"],
    }
    for state, names in orders.items():
        text = client.get(address, {"access_state__exact": state}).content.decode()
        assert re.findall(rf"<b>({state}-\w+)</b>", text) == [f"{state}-{name}" for name in names]
        assert "Seat kept until" in text
        assert f"access_state__exact={state}" in client.get(address).content.decode()
