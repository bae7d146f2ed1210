"""The waitlist in the console: who is next, whether there is room, and inviting."""

from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.core import clock
from apps.instances.models import Instance
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
    page = text(staff("viewer").get(LIST))
    assert "<b>Cloud</b> <span>3 waiting, next: <a" in page
    assert "wait-0@example.com" in page
    assert "<b>Anything</b> <span>1 waiting" in page
    assert "room: invite" in page
    Instance.objects.update(auto_allocate=False)
    page = text(staff("viewer").get(LIST))
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
