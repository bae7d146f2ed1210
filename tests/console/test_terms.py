"""Changing the terms: a job finds out who would gain or lose, its page lists them, and staff save exactly what they saw or abandon it."""

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
from apps.core import clock, jobs
from apps.core.models import AuditEntry, Job
from apps.operations import terms_preview
from apps.operations.models import TermsPreview
from tests.console.desk import done
from tests.console.desk import send as fill_in
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


def preview(client: Client, **more: Any) -> TermsPreview:
    """Fill the form in, and let the job finish; nobody is synced."""
    answer = send(client, **more)
    row = TermsPreview.objects.latest("pk")
    assert (answer.status_code, answer["Location"]) == (302, address(row))
    count(row)
    return row


def count(row: TermsPreview) -> None:
    """What the job does, to its end."""
    terms_preview.run_preview(str(row.pk))
    row.refresh_from_db()


def address(row: TermsPreview) -> str:
    return reverse("admin:operations_termspreview_change", args=[row.pk])


def page(client: Client, row: TermsPreview, query: str = "") -> str:
    return str(client.get(address(row) + query).content.decode())


def found(row: TermsPreview) -> dict[str, set[str]]:
    """Who is listed, by what the change does to them."""
    listed: dict[str, set[str]] = {}
    for one in terms_preview.people_with(row, ""):
        listed.setdefault(one.effect, set()).add(one.profile.user.get_username())
    return listed


def queued() -> set[str]:
    keys = [int(key) for key in Job.objects.filter(kind="reconcile").values_list("key", flat=True)]
    return set(UserProfile.objects.filter(pk__in=keys).values_list("user__username", flat=True))


def test_more_grace_shows_who_gets_access_and_saves_nothing_until_it_is_confirmed(plan: Product, staff: Staff) -> None:
    client = staff("admin")
    row = preview(client, grace_days=7)
    assert found(row) == {"gain": {"person-0", "person-1"}}
    assert "person-1" in page(client, row)
    assert (TermsChange.objects.count(), queued()) == (0, set())

    assert done(fill_in(client, row, "save_terms"))
    assert TermsChange.objects.count() == 0, "the job saves them"
    count(row)
    assert (row.state, read_terms().general.grace) == ("saved", 7 * DAY)
    assert queued() == {"person-0", "person-1"}
    line = AuditEntry.objects.get(action="terms_changed")
    assert (line.actor, line.after["grace_days"]) == ("staff:admin-ada", 7)
    assert f"terms {row.change_id}" in page(client, row)
    assert "7 days" in client.get(reverse(LIST)).content.decode()


def test_the_form_is_answered_before_anybody_is_decided_about_and_the_page_follows_the_job(
    plan: Product, staff: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terms_preview, "BATCH", 1)
    monkeypatch.setattr(terms_preview, "SECONDS", 0)
    client = staff("admin")
    send(client, grace_days=7)
    row = TermsPreview.objects.get()
    job = Job.objects.get(kind="preview_terms")
    assert (row.state, row.people.count(), job.importance) == ("counting", 0, Job.Importance.CLICKED)
    part = reverse("admin:operations_termspreview_progress", args=[row.pk])
    assert "Finding out whom the terms can concern" in page(client, row)
    jobs.drain(limit=2)
    text = client.get(part).content.decode()
    assert "1 of 2 checked" in text
    assert 'hx-trigger="every 2s"' in text
    assert "Save these terms" not in text
    jobs.drain()
    text = client.get(part).content.decode()
    assert "This changes something for 2 people" in text
    assert "every 2s" not in text
    assert 'id="preview-confirm"' in text
    assert 'id="preview-confirm"' not in staff("operator").get(part).content.decode()


def test_an_earlier_final_expiry_names_whose_seat_would_go(plan: Product, staff: Staff) -> None:
    client = staff("admin")
    row = preview(client, expiry_days=5)
    assert found(row) == {"give_up": {"person-2"}}
    assert "person-2" in page(client, row, "?show=give_up")
    assert "person-2" not in page(client, row, "?show=gain")
    assert found(preview(client, expiry_days=60)) == {"moved": {"person-2"}}


def test_taking_something_from_many_wants_their_number(
    plan: Product, staff: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.operations.safeguard.FLOOR", 0)
    client = staff("admin")
    row = preview(client, expiry_days=5)
    refused = fill_in(client, row, "save_terms", confirmation="2")
    assert "1 people lose something, not 2." in refused.content.decode()
    assert "This field is required" in fill_in(client, row, "save_terms").content.decode()
    assert done(fill_in(client, row, "save_terms", confirmation="1"))
    count(row)
    assert read_terms().general.expiry == 5 * DAY


def test_a_product_and_a_subscriber_have_terms_of_their_own(plan: Product, staff: Staff) -> None:
    client = staff("admin")
    blank = {"grace_days": "", "recovery_hours": "", "expiry_days": "", "paused_collection": "", "lost_dispute": ""}
    row = preview(client, **blank | {"product": plan.pk, "grace_days": 7})
    assert found(row) == {"gain": {"person-0", "person-1"}}
    one = UserProfile.objects.get(user__username="person-0")
    assert "person-0" in client.get(f"{ADD}?profile={one.pk}").content.decode()
    row = preview(client, **blank | {"profile": one.pk, "grace_days": 7})
    assert found(row) == {"gain": {"person-0"}}
    assert done(fill_in(client, row, "save_terms"))
    count(row)
    assert AuditEntry.objects.get(action="terms_changed").subject_id == str(one.pk)


def test_general_terms_leave_nothing_open(plan: Product, staff: Staff) -> None:
    answer = send(staff("admin"), grace_days="", lost_dispute="")
    assert "General terms say everything. Fill in: grace days, lost dispute." in answer.content.decode()


def test_what_is_out_of_date_is_filled_in_again(plan: Product, staff: Staff) -> None:
    client = staff("admin")
    row = preview(client, grace_days=7)
    TermsPreview.objects.update(counted_at=clock.now() - dt.timedelta(hours=1))
    text = page(client, row)
    assert "more than an hour old" in text
    assert 'id="preview-confirm"' not in text
    again = client.get(f"{ADD}?grace_days=7&reason=Because+of+it").content.decode()
    assert 'name="grace_days" value="7"' in again
    assert "Because of it" in again


def test_only_admins_change_terms_and_nobody_changes_what_was(plan: Product, staff: Staff) -> None:
    for role in ("viewer", "support", "operator"):
        assert staff(role).get(reverse(LIST)).status_code == 200
        assert send(staff(role)).status_code == 403
    client = staff("admin")
    row = preview(client, grace_days=7)
    fill_in(client, row, "save_terms")
    count(row)
    change = reverse("admin:access_termschange_change", args=[TermsChange.objects.get().pk])
    assert client.get(change).status_code == 200
    assert client.post(change, GENERAL | {"reason": REASON}).status_code == 403


def test_the_lists_are_exported_with_a_reason_and_a_line(plan: Product, staff: Staff) -> None:
    row = preview(staff("admin"), grace_days=7, expiry_days=5)
    client = staff("operator")
    export = reverse("admin:operations_termspreview_export", args=[row.pk])
    assert "3 subscribers" in client.get(export).content.decode()
    answer = client.post(export, {"reason": REASON})
    lines = answer.content.decode("utf-8-sig").splitlines()
    assert [line.split(",")[1:4:2] for line in lines] == [
        ['"Username"', '"Effect"'],
        ['"person-0"', '"Get access"'],
        ['"person-1"', '"Get access"'],
        ['"person-2"', '"Lose what was kept for them"'],
    ]
    entry = AuditEntry.objects.get(action="list_exported")
    assert (entry.reason, entry.after) == (REASON, {"rows": 3, "preview": row.pk})
    assert staff("support").post(export, {"reason": REASON}).status_code == 403


def test_what_it_costs_does_not_grow_with_the_people(plan: Product, staff: Staff) -> None:
    client = staff("admin")

    def cost() -> tuple[int, int]:
        with CaptureQueriesContext(connection) as captured:
            row = preview(client, grace_days=7)
        with CaptureQueriesContext(connection) as shown:
            page(client, row)
        return len(captured), len(shown)

    cost()
    few = cost()
    for number in range(10, 40):
        sell(number, (plan, "price_plan", 1))
    Subscription.objects.exclude(status="canceled").update(status="past_due", past_due_since=clock.now() - 4 * DAY)
    many = cost()
    assert many[0] <= few[0] + 1
    assert many[1] <= few[1] + 1
