"""The audit trail keeps ids, never a customer's name or address: what is written now, and what old entries still said."""

import datetime as dt
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.db import connection

from apps.access import overrides, terms
from apps.access.models import LastSync, TermsChange
from apps.accounts.models import UserProfile
from apps.core import audit, audit_anchor, audit_chains, jobs
from apps.core.audit_actions import AuditAction
from apps.core.models import AuditAnchor, AuditEntry
from apps.identity import realm_test_email
from apps.onboarding import account_correction
from apps.operations import drift, privacy
from apps.operations.models import Drift
from tests.operations.test_privacy import columns_with, leave
from tests.world import World

BY = {"actor": "staff:ada", "reason": "Mrs. X wrote from quentin@example.com about it"}
migration = import_module("apps.core.migrations.0019_names_out_of_the_audit_trail")


def texts() -> str:
    """All that the trail says, in lower case."""
    rows = AuditEntry.objects.values_list("subject_id", "actor", "reason", "before", "after")
    return str(list(rows)).lower()


def refused(world: World) -> UserProfile:
    """Somebody who has paid and whose name Keycloak refuses."""
    signup = world.signup("quentin")
    signup.first_name = "Quent & in"
    signup.save()
    profile = world.pay(signup)
    world.deliver()
    return UserProfile.objects.get(pk=profile.pk)


def change(world: World, profile: UserProfile, **fields: Any) -> None:
    stored = world.account(profile)
    assert world.admin("PUT", f"/users/{profile.keycloak_id}", json=stored | fields).status_code == 204
    jobs.defer(drift.KIND, "asked")
    world.work()


def test_nothing_that_staff_do_leaves_a_name_or_an_address_in_the_trail(world: World) -> None:
    quentin = refused(world)
    answers = {
        "first_name": "Quentin",
        "last_name": "Vanderlee",
        "username": "quentin.vanderlee",
        "email": "quentin@example.com",
    }
    account_correction.correct_account(quentin, answers=answers, **BY)
    world.deliver()
    quentin.refresh_from_db()
    customer = world.shop.v1.customers.retrieve(quentin.stripe_customer_id or "")
    assert customer.name == "Quentin Vanderlee", "Stripe's name of before is found by its fingerprint"
    corrected = AuditEntry.objects.get(action="account_corrected")
    assert corrected.after == {"fields": ["first_name", "last_name", "username"]}

    change(world, quentin, email="quentin.new@example.com", emailVerified=True)
    quentin.user.username = "quentin"
    quentin.user.save()
    change(world, quentin)
    for row in Drift.objects.all():
        drift.fix_drift(row, **BY)
    realm_test_email.request_test_email("quentin.new@example.com", **BY)
    overrides.lift(override=overrides.hold(profile=quentin, **BY), **BY)
    world.deliver()
    quentin.refresh_from_db()
    assert quentin.email == "quentin.new@example.com"
    assert world.shop.v1.customers.retrieve(quentin.stripe_customer_id or "").email == "quentin.new@example.com"
    assert {"account_corrected", "drift_found", "drift_fixed", "test_email_requested", "override_added"} <= set(
        AuditEntry.objects.values_list("action", flat=True)
    )
    for word in ("quentin", "quent &", "vanderlee"):
        assert word not in texts()
    assert f"wrote from {audit.LEFT_OUT} about it" in texts()
    assert audit_chains.check_chains().breaks == []


def test_the_reasons_of_overrides_and_terms_and_the_steps_go_with_the_person(world: World) -> None:
    quentin = world.subscriber("quentin")
    leave(world, quentin)
    hold = overrides.hold(profile=quentin, actor="staff:ada", reason="Quentin Vanderlee asked on the phone")
    overrides.lift(override=hold, actor="staff:ada", reason="he asked again")
    terms.save_change(
        TermsChange(profile=quentin, grace_days=5), actor="staff:ada", reason="Quentin Vanderlee is patient"
    )
    world.deliver()
    privacy.erase(UserProfile.objects.get(pk=quentin.pk), actor="staff:ada", reason="asked by letter")
    world.deliver()
    assert {
        one for one in columns_with("quentin") if any(name in one for name in ("override", "terms", "lastsync"))
    } == set()
    assert LastSync.objects.get(profile=quentin).steps == []


def old_entry(action: str, *, before: dict[str, Any] | None = None, after: dict[str, Any] | None = None) -> None:
    """As the release before wrote it."""
    audit.record(subject=("profile", 7), action=AuditAction(action), actor="staff:ada", before=before, after=after)


@pytest.fixture
def old_trail(db: None, monkeypatch: pytest.MonkeyPatch) -> str:
    """A trail with names in it, and the anchor of the day before the migration."""
    monkeypatch.setattr(audit, "_without_addresses", lambda value: value)
    old_entry("signed_up", after={"username": "quentin"})
    old_entry("account_corrected", before={"email": "quentin@example.com"}, after={"email": "q.vanderlee@example.com"})
    old_entry("drift_found", after={"kind": "email", "steps": ["Use quentin@example.com here too."]})
    old_entry("drift_found", after={"kind": "access", "steps": ["Join the group /frontdesk/a."]})
    old_entry("drift_fixed", before={"kind": "email", "email": "quentin@example.com"}, after={"write_back": False})
    old_entry("override_added", after={"kind": "hold"})
    monkeypatch.undo()
    monkeypatch.setattr(audit_anchor, "MARGIN", dt.timedelta(0))
    audit_anchor.export()
    return AuditAnchor.objects.get().line


def migrate() -> None:
    with connection.schema_editor() as editor:
        migration.remove_names(apps, editor)


def test_old_entries_lose_their_names_and_the_chain_and_its_anchors_still_hold(old_trail: str) -> None:
    migrate()
    assert "quentin" not in texts()
    assert "q.vanderlee" not in texts()
    by_action = {one.action: one for one in AuditEntry.objects.order_by("id")}
    assert by_action["account_corrected"].after == {"fields": ["email"]}
    assert by_action["drift_found"].after == {"kind": "access", "steps": ["Join the group /frontdesk/a."]}
    assert by_action["drift_fixed"].before == {"kind": "email"}
    found = audit_chains.check_chains()
    assert (found.breaks, found.without_names) == ([], 4)
    assert audit_anchor.find_gaps([old_trail]) == []
    count = AuditEntry.objects.count()
    migrate()
    assert AuditEntry.objects.count() == count, "a second time it finds nothing"


@pytest.mark.parametrize(
    ("action", "column", "value"),
    [
        ("account_corrected", "after", '{"fields": ["username"]}'),
        ("account_corrected", "reason", "she asked"),
        ("override_added", "after", '{"kind": "grant"}'),
        ("names_removed", "after", '{"entries": {}}'),
    ],
)
def test_what_is_altered_after_that_still_shows(old_trail: str, action: str, column: str, value: str) -> None:
    migrate()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE core_auditentry DISABLE TRIGGER ALL")
        cursor.execute(f"UPDATE core_auditentry SET {column} = %s WHERE action = %s", [value, action])
    assert audit_chains.check_chains().breaks


def test_what_was_altered_before_that_still_shows(old_trail: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE core_auditentry DISABLE TRIGGER ALL")
        cursor.execute("UPDATE core_auditentry SET actor = 'system' WHERE action = 'account_corrected'")
    migrate()
    broken = audit_chains.check_chains().breaks
    assert [one.problem for one in broken] == ["was altered"]
