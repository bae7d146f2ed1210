"""The four ways to request the password email: one lane, one limit and one audit action for all of them."""

import importlib
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.urls import reverse

from apps.accounts.models import UserProfile
from apps.core import audit, jobs
from apps.core.models import AuditEntry, Job
from tests.console.conftest import staff
from tests.console.desk import REASON
from tests.core.test_audit import verify
from tests.storefront.test_recovery import PASSWORD, prove
from tests.storefront.visitor import Visitor
from tests.world import World

__all__ = ["staff"]  # the fixture
KIND = "send_keycloak_password_reset_email"
DASHBOARD = "/dashboard/reset-password/"
Staff = Callable[..., Client]


@pytest.fixture
def dana(world: World) -> UserProfile:
    return world.subscriber("dana")


def logged_in(profile: UserProfile) -> Client:
    client = Client()
    client.force_login(profile.user)
    return client


def console_action(client: Client, profile: UserProfile) -> int:
    address = reverse("admin:accounts_userprofile_password_mail", args=[profile.pk])
    data = {"_form_submitted": "on", "reason": REASON}
    answer = client.post(address, data, headers={"HX-Request": "true"})
    assert answer["HX-Redirect"]
    return answer.status_code


def test_a_dashboard_request_while_the_consoles_email_is_leaving_sends_no_second_one(
    world: World, dana: UserProfile, staff: Staff
) -> None:
    before = len(world.mails(dana))
    console_action(staff("support"), dana)
    leaving = jobs.claim()  # another worker is sending this one
    assert leaving is not None
    assert logged_in(dana).post(DASHBOARD).status_code == 200
    assert jobs.claim() is None, "a second email leaves at the same time"
    jobs.run(leaving)
    world.work()
    assert len(world.mails(dana)) == before + 1
    assert set(Job.objects.filter(kind=KIND).values_list("state", flat=True)) == {"done"}


def test_the_limit_is_one_for_all_pages_and_staff_count_but_are_never_refused(
    world: World, dana: UserProfile, staff: Staff
) -> None:
    visitor, support = Visitor(), staff("support")
    profile_page = logged_in(dana)
    prove(visitor, dana)
    world.work()
    before = len(world.notifications(dana))
    assert profile_page.post(DASHBOARD).status_code == 200
    world.work()
    console_action(support, dana)
    world.work()
    assert visitor.api(PASSWORD).status_code == 200
    world.work()
    for answer in (profile_page.post(DASHBOARD), visitor.api(PASSWORD)):
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many")
    console_action(support, dana)
    world.work()
    assert len(world.notifications(dana)) == before + 4
    asked = AuditEntry.objects.filter(action="password_email_requested", subject_id=str(dana.pk)).order_by("id")
    assert list(asked.values_list("actor", "reason")) == [
        ("customer", "on the dashboard"),
        ("staff:support-ada", REASON),
        ("customer", "on the recovery page"),
        ("staff:support-ada", REASON),
    ]


def test_old_audit_entries_take_the_new_names_and_their_chain_still_verifies(db: None) -> None:
    for name in ("account_created", "password.mail_requested", "password_mail_requested", "password_mail_sent"):
        audit.record(subject=("profile", 1), action=name)
    audit.record(subject=("profile", 2), action="password_mail_sent")
    audit.record(subject=("profile", 2), action="account_created")
    tampered = AuditEntry.objects.filter(subject_id="2").order_by("id").first()
    migration = importlib.import_module("apps.core.migrations.0003_password_email_audit_actions")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE core_auditentry DISABLE TRIGGER core_auditentry_no_change")
        cursor.execute("UPDATE core_auditentry SET reason = 'another' WHERE id = %s", [tampered.pk])
    migration.rename(apps, SimpleNamespace(connection=connection))
    entries = list(AuditEntry.objects.filter(subject_id="1").order_by("id"))
    assert [entry.action for entry in entries] == [
        "account_created",
        "password_email_requested",
        "password_email_requested",
        "password_email_sent",
    ]
    assert verify(entries)
    tampered.refresh_from_db()
    assert tampered.action == "password_email_sent"
    assert not verify([tampered])
    with pytest.raises(DatabaseError, match="only grows"), transaction.atomic():
        entries[0].save()
