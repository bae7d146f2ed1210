"""Changing the terms shows who would gain or lose, by name, and is done only when exactly that was seen."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.access.models import TermsChange
from apps.access.terms import read_terms
from apps.accounts.models import UserProfile
from apps.billing.models import Subscription
from apps.catalog.models import Product
from apps.core import clock
from apps.core.models import AuditEntry, Job
from tests.operations.test_impact import sell

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]
LIST, ADD = "admin:access_termschange_changelist", reverse("admin:access_termschange_add")
DAY = dt.timedelta(days=1)
REASON = "The board has decided so."
GENERAL = {
    "grace_days": 0,
    "recovery_hours": 72,
    "expiry_days": 30,
    "paused_collection": "keep",
    "lost_dispute": "suspend",
}


@pytest.fixture
def plan() -> Product:
    """A plan: two are four days late, one canceled ten days ago, one pays."""
    plan = Product.objects.create(slug="plan", name="Family", placement="plan", grants={"storage_gb": 100})
    for number in range(4):
        sell(number, (plan, "price_plan", 1))
    states = {
        0: ("past_due", "suspended"),
        1: ("past_due", "suspended"),
        2: ("canceled", "canceled"),
        3: ("active", "active"),
    }
    for number, (status, state) in states.items():
        profile = UserProfile.objects.get(user__username=f"person-{number}")
        UserProfile.objects.filter(pk=profile.pk).update(access_state=state, keycloak_id=f"kc-{number}")
        Subscription.objects.filter(customer_id=profile.stripe_customer_id).update(
            status=status, past_due_since=clock.now() - 4 * DAY if number < 2 else None,
            ended_at=clock.now() - 10 * DAY if number == 2 else None,
        )  # fmt: skip
    return plan


def send(client: Client, **more: Any) -> Any:
    return client.post(ADD, GENERAL | {"reason": REASON} | more)


def confirm(client: Client, preview: Any, **more: Any) -> Any:
    """Send what the preview holds."""
    hidden = dict(preview.context["hidden"])
    return client.post(ADD, hidden | {"seen": preview.context["seen"], "_confirm": "1"} | more)


def names(ids: tuple[int, ...]) -> set[str]:
    return set(UserProfile.objects.filter(pk__in=ids).values_list("user__username", flat=True))


def queued() -> set[str]:
    return names(tuple(int(key) for key in Job.objects.filter(kind="reconcile").values_list("key", flat=True)))


def test_more_grace_shows_who_gets_access_and_saves_nothing_until_it_is_confirmed(plan: Product, staff: Staff) -> None:
    client = staff("admin")
    preview = send(client, grace_days=7)
    assert names(preview.context["found"].gain) == {"person-0", "person-1"}
    assert "person-1" in preview.content.decode()
    assert (TermsChange.objects.count(), queued()) == (0, set())

    assert confirm(client, preview).status_code == 302
    assert read_terms().general.grace == 7 * DAY
    assert queued() == {"person-0", "person-1"}
    line = AuditEntry.objects.get(action="terms_changed")
    assert (line.actor, line.reason, line.after["grace_days"]) == ("staff:admin-ada", REASON, 7)
    page = client.get(reverse(LIST)).content.decode()
    assert "7 days" in page


def test_an_earlier_final_expiry_names_whose_seat_would_go(plan: Product, staff: Staff) -> None:
    preview = send(staff("admin"), expiry_days=5)
    assert names(preview.context["found"].give_up) == {"person-2"}
    assert "Save and take it from 1" in preview.content.decode()
    later = send(staff("admin"), expiry_days=60)
    assert names(later.context["found"].moved) == {"person-2"}


def test_a_confirmation_counts_for_what_was_seen_alone(plan: Product, staff: Staff) -> None:
    client = staff("admin")
    preview = send(client, grace_days=7)
    Subscription.objects.filter(status="past_due").update(past_due_since=clock.now() - 20 * DAY)
    again = confirm(client, preview)
    assert "Something has changed in the meantime" in again.content.decode()
    assert TermsChange.objects.count() == 0


def test_taking_something_from_many_wants_a_word(plan: Product, staff: Staff, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.operations.safeguard.FLOOR", 0)
    client = staff("admin")
    preview = send(client, expiry_days=5)
    assert "type “terms”" in confirm(client, preview).content.decode()
    assert confirm(client, preview, typed="terms").status_code == 302
    assert read_terms().general.expiry == 5 * DAY


def test_a_product_and_a_subscriber_have_terms_of_their_own(plan: Product, staff: Staff) -> None:
    client = staff("admin")
    blank = {"grace_days": "", "recovery_hours": "", "expiry_days": "", "paused_collection": "", "lost_dispute": ""}
    preview = send(client, **blank | {"product": plan.pk, "grace_days": 7})
    assert names(preview.context["found"].gain) == {"person-0", "person-1"}
    one = UserProfile.objects.get(user__username="person-0")
    page = client.get(f"{ADD}?profile={one.pk}").content.decode()
    assert "person-0" in page
    preview = send(client, **blank | {"profile": one.pk, "grace_days": 7})
    assert names(preview.context["found"].gain) == {"person-0"}
    assert confirm(client, preview).status_code == 302
    assert AuditEntry.objects.get(action="terms_changed").subject_id == str(one.pk)


def test_general_terms_leave_nothing_open(plan: Product, staff: Staff) -> None:
    answer = send(staff("admin"), grace_days="", lost_dispute="")
    assert "General terms say everything. Fill in: grace days, lost dispute." in answer.content.decode()


def test_only_admins_change_terms_and_nobody_changes_what_was(plan: Product, staff: Staff) -> None:
    for role in ("viewer", "support", "operator"):
        assert staff(role).get(reverse(LIST)).status_code == 200
        assert send(staff(role)).status_code == 403
    client = staff("admin")
    confirm(client, send(client, grace_days=7))
    change = reverse("admin:access_termschange_change", args=[TermsChange.objects.get().pk])
    assert client.get(change).status_code == 200
    assert client.post(change, GENERAL | {"reason": REASON}).status_code == 403


def test_what_it_costs_does_not_grow_with_the_people(plan: Product, staff: Staff) -> None:
    client = staff("admin")

    def cost() -> int:
        with CaptureQueriesContext(connection) as captured:
            send(client, grace_days=7)
        return len(captured)

    few = cost()
    for number in range(10, 40):
        sell(number, (plan, "price_plan", 1))
    Subscription.objects.exclude(status="canceled").update(status="past_due", past_due_since=clock.now() - 4 * DAY)
    assert cost() <= few + 1
