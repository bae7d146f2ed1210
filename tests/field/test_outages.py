"""What is refused, cut or gone on the other side: a right of the key, a connection, the place where a walk stopped."""

import pytest

from apps.billing import backfill, comparison, mirror, stripe_client
from apps.core import jobs
from apps.core.errors import NeedsOperator
from apps.core.models import Job
from apps.notifications import mail
from apps.notifications.models import Notification
from tests.world import World


@pytest.mark.parametrize(
    ("right", "told"),
    [
        ("subscription_read", "Subscription: read"),
        ("customer_read", "Customer: read"),
        ("invoice_read", "Invoice: read"),
    ],
)
def test_a_missing_right_of_the_key_is_named(world: World, right: str, told: str) -> None:
    """ecosystem B10: customers read "does not answer", and staff saw nothing. Words of Stripe: tylerjrichards/st-paywall#36."""
    dana = world.subscriber("dana")
    world.shop.control("settings", missing_rights=[right])
    mirror.mirror_later(dana.stripe_customer_id or "", reason="test")
    world.work()
    job = Job.objects.filter(kind="mirror_customer", key=dana.stripe_customer_id).latest("pk")
    assert job.state == "blocked"
    assert f"“{told}” (rak_{right})" in job.last_error
    assert world.state(dana).access == "active"
    world.shop.control("settings", missing_rights=[])
    jobs.retry(job, actor="staff:ada")
    world.work()
    assert world.jobs() == []


@pytest.mark.parametrize(
    ("said", "right"),
    [
        (
            "Having the 'rak_accounts_kyc_id_numbers_read' permission would allow this request to continue.",
            "Accounts kyc id numbers: read",
        ),
        ("Having the ‘rak_plan_write’ permission would allow", "Plan: write"),
        (
            "This is a restricted API key, but the required permissions are not available for use by restricted keys.",
            "",
        ),
        ("", ""),
    ],
)
def test_the_right_is_read_from_what_stripe_says(said: str, right: str) -> None:
    error = stripe_client.MissingRight(said)
    assert error.right == right
    assert "lacks" in error.reason


def test_a_customer_whose_page_needs_the_right_is_told_the_truth(world: World) -> None:
    world.shop.control("settings", missing_rights=["checkout_session_write"])
    with pytest.raises((NeedsOperator, AssertionError)) as caught:
        world.pay(world.signup("dana"))
    assert "does not answer" not in str(caught.value)


def test_backfill_begins_anew_when_the_event_it_stopped_at_is_gone(world: World) -> None:
    """reliability B13: blocked, four times, "resource_missing, parameter starting_after"."""
    world.subscriber("dana")
    world.skip()
    jobs.defer(backfill.KIND, "evt_gone00000000000000000")
    world.work()
    assert world.jobs("blocked", "dead") == []
    assert Job.objects.get(key="evt_gone00000000000000000").state == "done"


def test_the_comparison_begins_anew_when_the_subscription_it_stopped_at_is_gone(world: World) -> None:
    world.subscriber("dana")
    found = comparison.compare_slice(
        comparison.Cursor("sub_gone000000000000000000", 1_900_000_000), pause_may_close=False
    )
    assert (found.differing, found.following) == (frozenset(), None)


@pytest.mark.parametrize("mode", ["down", "http_503"])
def test_a_connection_to_mailgun_cut_before_anything_was_sent_parks_the_mail(world: World, mode: str) -> None:
    """reliability B12: it counted as "possibly sent", and an attempt was spent."""
    world.fault("mailgun", mode)
    mail.notify(key="one", template="expired", to="dana@example.com")
    world.work()
    waiting = Notification.objects.all()
    assert set(waiting.values_list("state", "lost_answers")) == {("queued", 0)}
    assert set(Job.objects.filter(kind="send_notification").values_list("attempts", "parked_on")) == {(0, "mailgun")}
    world.fault("mailgun", "ok")
    world.pass_time(seconds=60)
    world.sweep()
    world.work()
    assert set(waiting.values_list("state", "lost_answers")) == {("sent", 0)}


def test_a_connection_cut_after_the_mail_was_sent_still_counts_as_possibly_sent(world: World) -> None:
    world.fault("mailgun", "accept_then_lose", times=1)
    mail.notify(key="one", template="expired", to="dana@example.com")
    world.work()
    assert Notification.objects.filter(lost_answers=1).exists()
