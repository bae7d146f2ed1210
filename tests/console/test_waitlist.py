"""The waitlist in the console: who is next, whether there is room, and inviting."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.core import clock
from apps.instances.models import Instance, Seat
from tests.console.conftest import World, fill

pytestmark = pytest.mark.django_db
LIST = "/admin/onboarding/waitlistentry/"
Staff = Callable[..., Client]


def entries() -> Any:
    return apps.get_model("onboarding", "WaitlistEntry")._default_manager


def confirm_all() -> None:
    entries().update(confirmed_at=clock.now())


def text(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def test_it_says_who_is_next_and_whether_there_is_room(world: World, staff: Staff) -> None:
    confirm_all()
    entries().create(email="any@example.com", created_at=clock.now(), confirmed_at=clock.now())
    page = text(staff("support").get(LIST))
    assert "<b>Cloud</b> <span>3 waiting, next: <a" in page
    assert "wait-0@example.com" in page
    assert "<b>Anything</b> <span>1 waiting" in page
    assert "room: invite" in page
    Instance.objects.update(auto_allocate=False)
    page = text(staff("support").get(LIST))
    assert page.count("room: invite") == 1  # the general list needs no seat


def test_who_has_not_confirmed_has_no_place(world: World, staff: Staff) -> None:
    entries().exclude(email="wait-0@example.com").update(confirmed_at=clock.now())
    page = text(staff("viewer").get(LIST))
    assert "not confirmed" in page
    assert "2 waiting, next" in page
    one = entries().get(email="wait-0@example.com")
    assert "invite/" not in text(staff("operator").get(f"{LIST}{one.pk}/change/"))


def test_the_dialog_says_who_waits_longer_and_that_there_is_no_room(world: World, staff: Staff) -> None:
    confirm_all()
    last = entries().get(email="wait-2@example.com")
    Instance.objects.update(auto_allocate=False)
    address = reverse("admin:onboarding_waitlistentry_invite", args=[last.pk])
    page = text(staff("operator").get(address))
    assert "2 wait longer." in page
    assert "There is no room now." in page
    data = {"_form_submitted": "on", "reason": "a seat was freed today"}
    assert "Make room first." in text(staff("operator").post(address, data))
    last.refresh_from_db()
    assert last.state == "waiting"


def test_a_long_list_costs_no_more(staff: Staff, db: None) -> None:
    world, client, costs = fill(3), staff("viewer"), []
    for count in (0, 25):
        more = [
            entries().model(email=f"more-{number}@example.com", product=world.cloud, created_at=clock.now())
            for number in range(count)
        ]
        entries().bulk_create(more)
        confirm_all()
        client.get(LIST)
        with CaptureQueriesContext(connection) as queries:
            assert client.get(LIST).status_code == 200
        costs.append(len(queries))
    assert costs[0] == costs[1]


def planned(client: Client, line: Any, count: int) -> tuple[str, str]:
    """The text of a plan, and what it sends along."""
    shown = text(client.get(reverse("admin:waitlist_plan"), {"line": line, "count": count}))
    found = re.search(r'name="planned" value="([^"]*)"', shown)
    return shown, found[1] if found else ""


def invite_next(client: Client, **data: Any) -> Any:
    address = reverse("admin:onboarding_waitlistentry_invite_next")
    given = {"_form_submitted": "on", "reason": "an instance was added", **data}
    return client.post(address, given, headers={"HX-Request": "true"})


def test_exactly_those_of_the_plan_are_invited_and_only_once(world: World, staff: Staff) -> None:
    confirm_all()
    client, line = staff("operator"), world.cloud.pk
    shown, plan = planned(client, line, 2)
    assert "2 of 3 waiting</strong> would be invited" in shown
    assert "Cloud has 177 free seats." in shown
    answer = invite_next(client, line=line, count=2, planned=plan)
    assert answer.headers["HX-Redirect"] == LIST
    invited = entries().filter(state="invited").values_list("email", flat=True)
    assert set(invited) == {"wait-0@example.com", "wait-1@example.com"}
    again = invite_next(client, line=line, count=2, planned=plan)
    assert "Nobody was invited. This entry is no longer waiting." in text(again)
    assert Seat.objects.filter(state="reserved").count() == 2


@pytest.mark.parametrize(
    ("count", "plan", "words"),
    [
        (3, "{line}|2|{ids}", "This is not what the plan was made for."),
        (2, "any|2|{ids}", "This is not what the plan was made for."),
        (2, "{line}|2|", "The plan invites nobody."),
        (2, "", "This is not what the plan was made for."),
        (2, "{line}|2|x", "The plan cannot be read."),
        (0, "{line}|0|{ids}", "greater than or equal to 1"),
        (51, "{line}|51|{ids}", "less than or equal to 50"),
    ],
)
def test_a_plan_that_is_not_the_one_shown_invites_nobody(
    world: World, staff: Staff, count: int, plan: str, words: str
) -> None:
    confirm_all()
    ids = ",".join(str(one.pk) for one in entries().order_by("created_at")[:2])
    sent = plan.format(line=world.cloud.pk, ids=ids)
    assert words in text(invite_next(staff("operator"), line=world.cloud.pk, count=count, planned=sent))
    assert not entries().filter(state="invited").exists()


def test_the_list_says_what_became_of_invitations(world: World, staff: Staff) -> None:
    confirm_all()
    client = staff("operator")
    assert "Invited in the last" not in text(client.get(LIST))
    invite_next(client, line=world.cloud.pk, count=3, planned=planned(client, world.cloud.pk, 3)[1])
    one = entries().get(email="wait-2@example.com")
    page = text(client.get(f"{LIST}{one.pk}/change/"))
    assert "Withdraw invitation" in page
    address = reverse("admin:onboarding_waitlistentry_withdraw_invitation", args=[one.pk])
    client.post(address, {"_form_submitted": "on", "reason": "invited by mistake"}, headers={"HX-Request": "true"})
    page = text(client.get(LIST))
    assert "Invited in the last 30 days: 3" in page
    assert "0 signed up, 1 withdrawn, 0 left, 0 expired, 2 open" in page
    assert "3 waiting" not in page
