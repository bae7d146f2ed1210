"""Answers that lists owe somebody new: whose a payment is, what staff did, what ends this week, and whose a former address was."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.access.models import AccessOverride
from apps.accounts.models import Signup, UserProfile
from apps.core import audit, clock
from apps.core.audit_actions import AuditAction
from apps.notifications.models import Notification
from tests.console.conftest import World as Rows
from tests.world import World

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]
DAY = dt.timedelta(days=1)


def found(client: Client, page: str, **query: str) -> list[Any]:
    answer = client.get(reverse(f"admin:{page}_changelist"), query)
    assert answer.status_code == 200
    return list(answer.context["cl"].result_list)


def test_every_list_of_money_names_the_subscriber(town: World, staff: Staff) -> None:
    dana, client = town.subscriber("dana"), staff("support")
    town.shop.v1.refunds.create({"charge": town.charge(dana), "amount": 100})
    town.shop.control("dispute", charge=town.charge(dana))
    town.deliver()
    page = reverse("admin:accounts_userprofile_change", args=[dana.pk])
    for kind in ("invoice", "charge", "refund", "dispute", "customer", "subscription", "paymentmethod"):
        address = reverse(f"admin:djstripe_{kind}_changelist")
        client.get(address)
        with CaptureQueriesContext(connection) as asked:
            text = client.get(address).content.decode()
        assert f'href="{page}">dana<' in text, kind
        assert len(asked) <= 5, kind
    (dispute,) = found(client, "djstripe_dispute")
    assert (
        f'href="{page}">dana<'
        in client.get(reverse("admin:djstripe_dispute_change", args=[dispute.pk])).content.decode()
    )
    assert (
        "Subscriber"
        not in client.get(reverse("admin:djstripe_price_changelist"))
        .content.decode()
        .partition("<thead")[2]
        .partition("</thead>")[0]
    )


def test_a_former_address_finds_whose_it_was(world: Rows, staff: Staff) -> None:
    first, second, third = world.profiles
    Signup.objects.filter(profile=first).update(email="first@former.example")
    Notification.objects.filter(profile=second).update(to="second@former.example")
    client = staff("support")
    for term, whose in (("First@former.example", first), ("second@former.example", second), (third.email, third)):
        assert found(client, "accounts_userprofile", q=term) == [whose]
    UserProfile.objects.filter(pk=third.pk).update(email="first@former.example")  # somebody else has it now
    assert found(client, "accounts_userprofile", q="first@former.example") == [third]
    assert found(client, "accounts_userprofile", q="nobody@former.example") == []


def test_what_staff_changed_is_apart_from_what_they_read_and_has_its_day(world: Rows, staff: Staff) -> None:
    client, subject = staff("viewer"), world.profiles[0].subject
    for action, actor in (
        (AuditAction.OVERRIDE_ADDED, "staff:sam"),
        (AuditAction.PERSON_VIEWED, "staff:sam"),
        (AuditAction.SEAT_ASSIGNED, audit.SYSTEM),
    ):
        audit.record(subject=subject, action=action, actor=actor)
    assert [(one.action, one.actor) for one in found(client, "core_auditentry", view="staff")] == [
        (AuditAction.OVERRIDE_ADDED, "staff:sam")
    ]
    now = clock.now()
    today, yesterday = (f"{one:%Y-%m-%d}" for one in (now, now - DAY))
    assert len(found(client, "core_auditentry", view="staff", day=today)) == 1
    assert found(client, "core_auditentry", day=yesterday) == []
    assert client.get(reverse("admin:core_auditentry_changelist"), {"day": "soon"}).status_code in {302, 400}


def test_overrides_that_end_within_a_week_come_first_by_their_end(world: Rows, staff: Staff) -> None:
    now, rows = clock.now(), [one.pk for one in world.overrides]
    for pk, days in zip(rows, (6, 2, 20), strict=True):
        AccessOverride.objects.filter(pk=pk).update(ends_at=now + days * DAY)
    client = staff("support")
    assert [one.pk for one in found(client, "access_accessoverride", view="ending")] == [rows[1], rows[0]]
    AccessOverride.objects.filter(pk=rows[1]).update(lifted_at=now)
    assert [one.pk for one in found(client, "access_accessoverride", view="ending")] == [rows[0]]
    assert {one.pk for one in found(client, "access_accessoverride", view="active")} == {rows[0], rows[2]}
    AccessOverride.objects.filter(pk=rows[0]).update(starts_at=now - 9 * DAY, ends_at=now - DAY)
    assert found(client, "access_accessoverride", view="ending") == []


def test_the_first_page_says_when_the_webhook_was_heard_last(world: Rows, staff: Staff) -> None:
    heard = clock.now() - 2 * DAY
    for event in world.events:
        type(event).objects.filter(pk=event.pk).update(received_at=heard)
    type(world.events[0]).objects.filter(pk=world.events[-1].pk).update(source="backfill", received_at=clock.now())
    text = " ".join(staff("viewer").get(reverse("admin:index")).content.decode().split())
    said = text.partition("Last event by Stripe's webhook")[2].partition("</div>")[0]
    assert f"{heard.day} {heard:%b %Y, %H:%M}" in said
