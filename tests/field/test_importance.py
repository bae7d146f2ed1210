"""Who has paid and waits is served before everybody's renewals, and these before sweeps."""

import datetime as dt
from typing import Any
from unittest import mock

import pytest
import structlog
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from apps.access import reconcile
from apps.accounts.models import UserProfile
from apps.billing import events
from apps.core import claims, clock, jobs
from apps.core.models import Job
from apps.operations import impact
from tests.world import World

WAITS, CHANGE, SWEEP = Job.Importance.PERSON_WAITS, Job.Importance.CHANGE, Job.Importance.SWEEP
CLICKED = Job.Importance.CLICKED
# All others are changes: events, periodic work with a deadline, emails, and what a person may also click.
NO_CHANGES = {
    "sync_user_post_checkout": WAITS, "send_keycloak_password_reset_email": WAITS, "check_checkout": WAITS,
    "preview_terms": CLICKED,
    "reconcile_all": SWEEP, "compare_keycloak": SWEEP, "compare_subscriptions": SWEEP, "compare_recent_changes": SWEEP, "run_doctor": SWEEP, "prune": SWEEP, "anchor_audit": SWEEP, "prune_sessions": SWEEP,
    "recheck_customers": SWEEP, "compare_copies": SWEEP, "check_coupons": SWEEP, "check_prices": SWEEP, "forget_signup": SWEEP, "check_retention": SWEEP, "check_backups": SWEEP, "compare_account_owners": SWEEP, "sample_closed_sessions": SWEEP, "check_unwarned": SWEEP, "check_expiring_cards": SWEEP, "record_daily_figures": SWEEP, "record_report_figures": SWEEP, "refresh_report_figures": SWEEP, "erase_expired_customer": SWEEP, "check_product_accounts": SWEEP, "resend_orders": SWEEP, "tell_languages": SWEEP,
}  # fmt: skip


def test_every_kind_has_its_importance() -> None:
    """Nightly work and work over everybody comes last; a kind of another importance is listed above."""
    assert {kind.name: kind.importance for kind in jobs.KINDS.values() if kind.importance != CHANGE} == NO_CHANGES


def test_what_is_asked_for_in_a_web_request_was_clicked(notes: list[str]) -> None:
    with structlog.contextvars.bound_contextvars(request_id="4f3a"):
        for kind in ("note", "tidy", "first"):
            jobs.defer(kind, "1")
        jobs.defer("note", "2", importance=SWEEP)
    with structlog.contextvars.bound_contextvars(request_id="4f3a", job_id=1, run=1):
        jobs.defer("note", "3")
    found = dict(Job.objects.values_list("id", "importance"))
    assert list(found.values()) == [CLICKED, CLICKED, WAITS, SWEEP, CHANGE]


def test_a_sync_of_many_waits_behind_everything_that_one_person_asked_for(world: World) -> None:
    payer = world.pay(world.signup("payer"))  # never synced: waits, however many others are in the list
    world.deliver()
    people = [world.subscriber(f"holder{n}") for n in range(2)]
    UserProfile.objects.filter(pk=payer.pk).update(synced_at=None)
    world.skip()
    Job.objects.all().delete()
    with mock.patch.object(reconcile, "BULK", 2):
        impact.reconcile_holders((payer.pk, *(one.pk for one in people)), reason="a change of the price list")
    assert sorted(Job.objects.values_list("importance", flat=True)) == [WAITS, SWEEP, SWEEP]


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch, db: None) -> list[str]:
    """The keys of what has run, in order."""
    ran: list[str] = []
    monkeypatch.setattr(jobs, "KINDS", {})
    jobs.register("note", ran.append)
    jobs.register("tidy", ran.append, importance=SWEEP)
    jobs.register("first", ran.append, importance=WAITS)
    return ran


def test_a_payer_is_served_before_a_thousand_renewals_and_these_before_sweeps(notes: list[str]) -> None:
    """reliability B14: 56.5 s behind 236 renewals."""
    past = clock.now() - dt.timedelta(hours=1)
    jobs.defer_many("tidy", {f"tidy-{n}": f"t{n}" for n in range(10)}, not_before=past)
    jobs.defer_many("note", {f"renewal-{n}": f"n{n}" for n in range(1000)}, not_before=past)
    jobs.defer("first", "payer")
    jobs.defer("note", "payer too", importance=WAITS)
    jobs.drain(limit=12)
    assert notes[:2] == ["payer", "payer too"]
    assert all(key.startswith("renewal") for key in notes[2:])


def test_work_of_the_future_is_no_hurry_however_important(notes: list[str]) -> None:
    jobs.defer("first", "tomorrow", not_before=clock.now() + dt.timedelta(days=1))
    jobs.defer("tidy", "now")
    assert (jobs.drain(), notes) == (1, ["now"])


def test_the_greater_importance_of_two_requests_wins(notes: list[str]) -> None:
    for importance in (SWEEP, WAITS, CHANGE):
        jobs.defer("note", "1", importance=importance)
    assert Job.objects.get().importance == WAITS


def test_a_failed_run_hands_its_importance_to_the_request_that_came_meanwhile(notes: list[str]) -> None:
    def fail(key: str) -> None:
        jobs.defer("fail", key)
        raise jobs.RetryLater("busy")

    jobs.register("fail", fail)
    jobs.defer("fail", "1", importance=WAITS)
    jobs.drain()
    assert Job.objects.get(state="queued").importance == WAITS


def test_the_claim_is_one_statement_over_one_index(notes: list[str]) -> None:
    past = clock.now() - dt.timedelta(hours=1)
    jobs.defer_many("note", {str(n): f"n{n}" for n in range(3000)}, not_before=past)
    jobs.defer_many("tidy", {str(n): f"t{n}" for n in range(3000)}, not_before=past)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE core_job")
        cursor.execute(f"EXPLAIN {claims.CLAIM}", {"now": clock.now()})
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Index Scan using job_due" in plan
    assert "Sort" not in plan


def event(kind: str, **subject: Any) -> dict[str, Any]:
    before = subject.pop("before", None)
    return {"type": kind, "data": {"object": subject} | ({"previous_attributes": before} if before is not None else {})}


@pytest.mark.parametrize(
    ("found", "importance"),
    [
        (event("checkout.session.completed", status="complete"), WAITS),
        (event("checkout.session.async_payment_succeeded"), WAITS),
        (event("customer.subscription.created", status="active"), WAITS),
        (event("customer.subscription.resumed", status="active"), WAITS),
        (event("invoice.paid", billing_reason="subscription_create"), WAITS),
        (event("customer.subscription.updated", status="active", before={"status": "past_due"}), WAITS),
        (event("customer.subscription.updated", status="trialing", before={"status": "paused"}), WAITS),
        (event("customer.subscription.updated", status="active", before={"current_period_end": 1}), CHANGE),
        (event("customer.subscription.updated", status="past_due", before={"status": "active"}), CHANGE),
        (event("customer.subscription.updated", status="active"), CHANGE),
        (event("customer.subscription.updated", status="new to us", before={"status": "active"}), CHANGE),
        (event("customer.subscription.updated", status=["odd"], before="odd"), CHANGE),
        (event("invoice.paid", billing_reason="subscription_cycle"), CHANGE),
        (event("invoice.payment_failed", billing_reason=None), CHANGE),
        (event("charge.refunded"), CHANGE),
        (event("product.updated"), CHANGE),
    ],
)
def test_what_opens_access_is_told_by_the_event(found: dict[str, Any], importance: Job.Importance) -> None:
    assert events.importance_of(found) == importance


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda one: st.lists(one) | st.dictionaries(st.text(), one),
    )
)
def test_no_payload_breaks_the_order(value: Any) -> None:
    for name in ("status", "billing_reason"):
        for kind in ("customer.subscription.updated", "invoice.paid"):
            assert events.importance_of(event(kind, **{name: value}, before=value)) in Job.Importance


def jobs_until_access(world: World, profile: UserProfile) -> int:
    """How many jobs run, one by one, before this person has access."""
    for count in range(60):
        if world.state(profile).access == "active":
            return count
        assert jobs.drain(limit=1)
    raise AssertionError("no access")


def test_access_comes_within_a_few_jobs_behind_everybody_elses_renewals(world: World) -> None:
    """reliability B14, in the whole world: everybody renews at once, then somebody pays."""
    everybody = [world.subscriber(f"renewer{n}") for n in range(6)]
    world.skip()
    world.pass_time(days=32)
    assert world.post_events(world.new_events())
    waiting = Job.objects.filter(state="queued").count()
    assert waiting >= 2 * len(everybody)
    payer = world.pay(world.signup("payer"))
    world.post_events(world.new_events())
    assert jobs_until_access(world, payer) <= 8
    assert Job.objects.filter(state="queued").count() >= waiting - 2


def test_who_pays_after_a_suspension_waits_as_little(world: World) -> None:
    everybody = [world.subscriber(f"renewer{n}") for n in range(4)]
    late = world.subscriber("late")
    world.shop.control("payments", customer=late.stripe_customer_id, mode="fail")
    world.pass_time(days=32)
    world.deliver()
    assert world.state(late).access == "suspended"
    world.skip()
    for one in everybody:
        jobs.defer("mirror_customer", one.stripe_customer_id or "", lane=f"customer:{one.stripe_customer_id}")
    waiting = Job.objects.filter(state="queued").count()
    world.shop.control("payments", customer=late.stripe_customer_id, mode="ok")
    for invoice in world.shop.v1.invoices.list({"customer": late.stripe_customer_id, "status": "open"}).data:
        world.shop.v1.invoices.pay(invoice.id)
    world.post_events(world.new_events())
    assert jobs_until_access(world, late) <= 8
    assert Job.objects.filter(state="queued").count() >= waiting - 2
