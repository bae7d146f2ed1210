"""Stripe Webhook Events and Celery Tasks (here: kinds of jobs)."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from apps.accounts.models import UserProfile
from apps.billing.models import Subscription
from apps.core import clock, jobs
from apps.core.errors import RetryLater
from apps.core.models import Job
from apps.notifications.models import Notification
from tests.specification.people import change_plan, customer, done, logged_in, ring_only, session_at_keycloak, sessions
from tests.world import World


def test_event_checkout_session_completed(world: World) -> None:
    _, profile = customer(world)
    assert world.users("dana") == []
    ring_only(world, "checkout.session.completed")
    state = world.state(profile)
    assert (state.access, state.account, state.seats) == ("active", True, (("nextcloud", "assigned"),))
    assert [user["username"] for user in world.users("dana")] == ["dana"]
    assert (done("sync_user_post_checkout"), done("send_keycloak_password_reset_email")) == (1, 1)


def test_event_customer_subscription_updated(world: World) -> None:
    profile = world.subscriber("dana")
    change_plan(world, profile, "plus")
    ring_only(world, "customer.subscription.updated")
    state = world.state(profile)
    assert (state.subscription, state.items) == ("active", ((world.price("plus"), 1),))
    assert state.seats == (("nextcloud", "assigned"), ("vaultwarden", "assigned"))
    assert state.attributes["storage_gb"] == "500"


def test_event_customer_subscription_deleted(world: World) -> None:
    profile = world.subscriber("dana")
    session_at_keycloak(world, profile)
    browser = logged_in(profile)
    world.shop.v1.subscriptions.cancel(profile.stripe_subscription_id or "")
    ring_only(world, "customer.subscription.deleted")
    state = world.state(profile)
    assert (state.access, state.subscription, state.account) == ("canceled", "canceled", False)
    assert sessions(world, profile) == 0
    assert browser.get("/dashboard/").status_code in {302, 403}
    assert world.notifications(profile) == ["keycloak_set_password", "welcome", "subscription_canceled"]
    assert len(world.mails(profile)) == 3


def test_event_invoice_payment_failed(world: World) -> None:
    world.shop.control("settings", end="past_due")
    profile = world.subscriber("dana")
    world.shop.control("payments", customer=profile.stripe_customer_id, mode="fail")
    world.pass_time(days=32)
    ring_only(world, "invoice.payment_failed")
    state = world.state(profile)
    assert (state.access, state.subscription, state.account) == ("suspended", "past_due", False)
    assert world.notifications(profile) == ["keycloak_set_password", "welcome", "payment_failed"]
    assert len(world.mails(profile)) == 3


# --- tasks -----------------------------------------------------------------------------------------------------------


def test_task_send_keycloak_password_reset_email(world: World) -> None:
    profile = world.subscriber("dana")
    jobs.defer("send_keycloak_password_reset_email", profile.pk)
    world.work()
    mails = world.standin.inbox(profile.email)
    assert len(mails) == 3
    assert f"{world.url}/keycloak/realms/frontdesk/" in str(mails[0])  # Keycloak's own mail with Keycloak's link
    assert world.notifications(profile) == ["keycloak_set_password", "welcome", "keycloak_set_password"]


def test_task_sync_user_post_checkout(world: World) -> None:
    _, profile = customer(world)
    statuses = world.post_events(world.new_events())
    assert set(statuses) == {200}
    ran = []
    while job := jobs.claim():
        ran.append(job.kind)
        jobs.run(job)
    assert "sync_user_post_checkout" in ran
    state = world.state(profile)
    assert state.seats == (("nextcloud", "assigned"),)
    assert state.attributes["nextcloud_instance"] == "nextcloud-1"


def test_task_notify_subscription_canceled(world: World) -> None:
    profile = world.subscriber("dana")
    UserProfile.objects.filter(pk=profile.pk).update(access_state="canceled")
    for _ in range(2):  # asked for twice, told once
        jobs.defer("notify_subscription_canceled", f"{profile.pk}:{profile.stripe_subscription_id}")
        world.work()
    assert done("notify_subscription_canceled") == 2
    sent = Notification.objects.get(profile=profile, template="subscription_canceled")
    assert (sent.state, sent.to) == ("sent", "dana@example.com")
    assert len(world.mails(profile)) == 3


def test_task_notify_payment_failed(world: World) -> None:
    profile = world.subscriber("dana")
    Subscription.objects.filter(customer_id=profile.stripe_customer_id).update(open_invoice_id="in_1")
    for _ in range(2):
        jobs.defer("notify_payment_failed", f"{profile.pk}:in_1")
        world.work()
    assert done("notify_payment_failed") == 2
    sent = Notification.objects.get(profile=profile, template="payment_failed")
    assert (sent.state, sent.to) == ("sent", "dana@example.com")
    assert len(world.mails(profile)) == 3


@pytest.mark.parametrize(
    "kind",
    [
        "send_keycloak_password_reset_email",
        "sync_user_post_checkout",
        "notify_subscription_canceled",
        "notify_payment_failed",
    ],
)
def test_tasks_are_retried_three_times_after_30_s_doubling(db: None, kind: str, monkeypatch: Any) -> None:
    tries: list[str] = []

    def fail(key: str) -> None:
        tries.append(key)
        raise RetryLater("It did not work this time.")

    monkeypatch.setitem(jobs.KINDS, kind, replace(jobs.KINDS[kind], handler=fail))
    jobs.defer(kind, "7:x")
    waits = []
    while jobs.drain() and (job := Job.objects.filter(state="queued").first()):
        waits.append((job.not_before - clock.now()).total_seconds())
        Job.objects.update(not_before=clock.now() - dt.timedelta(seconds=1))
    assert [round(wait / seconds) for wait, seconds in zip(waits, (30, 60, 120), strict=True)] == [1, 1, 1]
    dead = Job.objects.get()
    assert (len(tries), dead.state, dead.last_error) == (4, "dead", "It did not work this time.")
    monkeypatch.setitem(jobs.KINDS, kind, replace(jobs.KINDS[kind], handler=tries.append))
    jobs.retry(dead, actor="staff:ada")  # what the console's button does
    jobs.drain()
    assert set(Job.objects.values_list("state", flat=True)) == {"superseded", "done"}
    assert not UserProfile.objects.exists()
