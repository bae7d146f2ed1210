"""The reconciler against the stand-ins: every state of the table made so, and looks that find nothing to do."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from apps.access import overrides, reconcile
from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.core import clock, jobs
from apps.core.errors import BadInput
from apps.core.models import AuditEntry, Job
from apps.instances.models import Instance
from apps.operations import sweeps
from tests.access.people import DAY, closed, late, open_for, sync_now
from tests.world import World

# --- the nine states -------------------------------------------------------------------------------------------------------


def test_active_has_all_that_is_paid(world: World) -> None:
    dana = world.subscriber("dana")
    state = world.state(dana)
    assert (state.access, state.seats, open_for(state)) == (
        "active",
        (("nextcloud", "assigned"),),
        True,
    )
    assert (dana.pending_since, dana.observed_generation) == (None, dana.desired_generation)


def test_grace_keeps_everything_and_ends_by_the_clock_alone(world: World, settings: Any) -> None:
    settings.PAYMENT_GRACE_DAYS = 7
    dana = late(world)
    state = world.state(dana)
    assert (state.access, state.seats, open_for(state)) == (
        "grace",
        (("nextcloud", "assigned"),),
        True,
    )
    assert dana.access_until is not None
    world.pass_time(seconds=int((dana.access_until - clock.now()).total_seconds()) - 30)
    world.work()
    assert world.state(dana).access == "grace"
    world.pass_time(seconds=31)
    world.work()
    assert world.state(dana).access == "suspended"


def test_suspended_has_nothing_but_its_seat_and_paying_brings_all_back(world: World) -> None:
    dana = late(world)
    before = world.state(dana)
    assert (before.access, before.account, closed(before)) == ("suspended", False, True)
    assert before.seats == (("nextcloud", "retained"),)
    assert world.notifications(dana) == ["keycloak_set_password", "welcome", "payment_failed"]

    world.shop.control("payments", customer=dana.stripe_customer_id, mode="ok")
    invoice = world.shop.v1.invoices.list({"customer": dana.stripe_customer_id or "", "status": "open"}).data[0]
    world.shop.v1.invoices.pay(invoice.id)
    world.deliver()
    state = world.state(dana)
    assert (state.access, state.seats, open_for(state)) == (
        "active",
        (("nextcloud", "assigned"),),
        True,
    )


def test_recovering_opens_the_door_and_nothing_else(world: World) -> None:
    dana = late(world)
    UserProfile.objects.filter(pk=dana.pk).update(recovering_until=clock.now() + dt.timedelta(hours=72))
    sync_now(world, dana)
    state = world.state(dana)
    assert (state.access, state.account, closed(state)) == ("recovering", True, True)
    assert state.seats == (("nextcloud", "retained"),)
    world.pass_time(days=3, seconds=5)
    world.work()
    assert (world.state(dana).access, world.state(dana).account) == ("suspended", False)


def test_canceled_keeps_the_seat_and_expires_by_the_clock_alone(world: World) -> None:
    dana = world.subscriber("dana")
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    world.deliver()
    state = world.state(dana)
    assert (state.access, state.account, closed(state)) == ("canceled", False, True)
    assert state.seats == (("nextcloud", "retained"),)
    assert world.notifications(dana) == ["keycloak_set_password", "welcome", "subscription_canceled"]
    expiry = dana.final_expiry_at
    assert expiry is not None
    world.pass_time(seconds=int((expiry - clock.now()).total_seconds()) - 30)
    world.work()
    assert world.state(dana).access == "canceled"
    world.pass_time(seconds=31)
    world.work()
    state = world.state(dana)
    assert (state.access, state.account, state.seats, closed(state)) == ("expired", False, (), True)
    assert Instance.objects.get(slug="nextcloud-1").allocated_seats == 0
    assert world.jobs() == []


def test_held_shuts_out_a_payer_until_lifted(world: World) -> None:
    dana = world.subscriber("dana")
    hold = overrides.hold(profile=dana, actor="staff:ada", reason="abuse report")
    world.work()
    state = world.state(dana)
    assert (state.access, state.subscription, state.account, closed(state)) == (
        "on_hold",
        "active",
        False,
        True,
    )
    assert state.seats == (("nextcloud", "retained"),)
    world.shop.v1.subscriptions.update(dana.stripe_subscription_id or "", {"metadata": {"seen": "1"}})
    world.deliver()
    assert world.state(dana).access == "on_hold"  # only staff or its date end it
    overrides.lift(override=hold, actor="staff:ada", reason="was nothing")
    world.work()
    assert open_for(world.state(dana))
    actions = list(
        AuditEntry.objects.filter(subject_id=str(dana.pk), action__startswith="override")
        .order_by("pk")
        .values_list("action", "actor")
    )
    assert actions == [("override_added", "staff:ada"), ("override_ended", "staff:ada")]


def test_a_hold_with_a_date_ends_by_itself(world: World) -> None:
    dana = world.subscriber("dana")
    overrides.hold(profile=dana, actor="staff:ada", reason="one day off", until=clock.now() + DAY)
    world.work()
    assert world.state(dana).access == "on_hold"
    world.pass_time(days=1, seconds=5)
    world.work()
    assert open_for(world.state(dana))


def test_a_grant_gives_without_payment_and_takes_all_back_at_its_end(world: World) -> None:
    signup = world.signup("dana")
    with pytest.raises(AssertionError):  # the card is declined
        world.pay(signup, card="4000000000000002")
    signup.refresh_from_db()
    dana = signup.profile
    assert dana is not None
    products = [Product.objects.get(slug="personal")]
    overrides.grant(profile=dana, products=products, until=clock.now() + DAY, actor="staff:ada", reason="tester")
    world.work()
    state = world.state(dana)
    assert (state.access, state.subscription, open_for(state)) == ("active", "", True)
    world.pass_time(days=1, seconds=5)
    world.work()
    state = world.state(dana)
    assert (state.access, state.account, state.seats, closed(state)) == ("none", False, (), True)


def test_no_suspend_keeps_a_late_payer_in_until_its_date(world: World) -> None:
    dana = late(world)
    overrides.no_suspend(profile=dana, until=clock.now() + DAY, actor="staff:ada", reason="bank trouble")
    world.work()
    state = world.state(dana)
    assert (state.access, open_for(state)) == ("grace", True)
    world.pass_time(days=1, seconds=5)
    world.work()
    assert world.state(dana).access == "suspended"


def test_never_paid_has_nothing_and_keeps_the_hold_of_a_checkout(world: World) -> None:
    signup = world.signup("dana")
    with pytest.raises(AssertionError):
        world.pay(signup, card="4000000000000002")
    signup.refresh_from_db()
    dana = signup.profile
    assert dana is not None
    sync_now(world, dana)
    state = world.state(dana)
    assert (state.access, state.account, state.seats) == ("none", None, (("nextcloud", "reserved"),))
    assert world.users("dana") == []


def test_overrides_in_the_past_or_without_products_are_refused(world: World) -> None:
    dana = world.subscriber("dana")
    with pytest.raises(BadInput):
        overrides.hold(profile=dana, actor="staff:ada", reason="late", until=clock.now() - DAY)
    with pytest.raises(BadInput):
        overrides.grant(profile=dana, products=[], until=clock.now() + DAY, actor="staff:ada", reason="empty")


# --- looking without touching ------------------------------------------------------------------------------------------------


def test_a_preview_says_what_would_be_done_and_does_nothing(world: World) -> None:
    dana = world.subscriber("dana")
    before = world.state(dana)
    assert reconcile.preview(dana).steps == ()
    world.admin("PUT", f"/users/{dana.keycloak_id}", json=world.account(dana) | {"enabled": False})
    found = reconcile.preview(dana)
    assert [step.sentence for step in found.steps] == ["Enable the account."]
    assert found.state == "active"
    assert world.state(dana) == replace(before, account=False)


def test_looking_again_writes_nothing(world: World) -> None:
    dana = world.subscriber("dana")
    lines = AuditEntry.objects.count()
    for _ in range(3):
        sync_now(world, dana)
    assert AuditEntry.objects.count() == lines
    assert len(world.mails(dana)) == 2


# --- the sweep -------------------------------------------------------------------------------------------------------------------


def test_the_sweep_finds_who_waits_without_a_job(world: World) -> None:
    dana = world.pay(world.signup("dana"))
    world.post_events(world.new_events())
    jobs.run(jobs.claim())  # an event is mirrored, and then the queue is lost
    while job := jobs.claim():
        if job.kind == "sync_user_post_checkout":
            job.delete()
            break
        jobs.run(job)
    Job.objects.filter(kind__in=["sync_user_post_checkout", "reconcile"]).delete()
    dana.refresh_from_db()
    assert dana.pending_since is not None
    sweeps.sweep_access("periodic")
    world.work()
    assert open_for(world.state(dana))


def test_the_sweep_finds_whose_time_has_come_without_a_job(world: World) -> None:
    dana = world.subscriber("dana")
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    world.deliver()
    Job.objects.filter(state="queued").delete()
    world.pass_time(days=31)
    sweeps.sweep_access("periodic")
    world.work()
    assert world.state(dana).access == "expired"
