"""Who gave up, who left and what was sent is forgotten; who paid stays."""

import datetime as dt
from typing import Any

from django.contrib.auth.models import User

from apps.accounts.models import Signup, UserProfile
from apps.core import clock, retention
from apps.core.models import AuditEntry, Job
from apps.instances.models import Seat
from apps.notifications import mail
from apps.notifications.models import Notification
from apps.onboarding import signup_checkout, waitlist
from apps.onboarding.models import WaitlistEntry
from tests.world import World

DAY = dt.timedelta(days=1)


def give_up(world: World, name: str) -> UserProfile:
    """Open the payment and never pay."""
    signup = world.signup(name)
    signup_checkout.open_checkout(signup, ui="embedded")
    signup.refresh_from_db()
    assert signup.profile is not None
    return signup.profile


def is_deleted(world: World, profile: UserProfile) -> bool:
    return bool(getattr(world.shop.v1.customers.retrieve(profile.stripe_customer_id or ""), "deleted", False))


def test_abandoned_payments_are_forgotten_here_and_at_stripe(world: World) -> None:
    """security M4: after 400 days 11 of 11 unpaid strangers were still there, by name, address and Stripe customer."""
    dana = world.subscriber("dana")
    stranger = give_up(world, "stranger")
    mail.notify(key="code", template="already_customer", to="Stranger@example.com")
    world.pass_time(days=3)
    world.sweep()
    world.deliver()
    retention.prune_all()
    world.work()
    assert UserProfile.objects.filter(pk=stranger.pk).exists()
    world.pass_time(days=32)
    world.deliver()
    retention.prune_all()
    world.work()
    assert list(UserProfile.objects.all()) == [dana]
    assert list(Signup.objects.values_list("username", flat=True)) == ["dana"]
    assert not User.objects.filter(email="stranger@example.com").exists()
    assert not Notification.objects.filter(to__iexact="stranger@example.com").exists()
    assert not Seat.objects.exclude(profile=dana).exists()
    assert AuditEntry.objects.filter(subject_kind="profile", subject_id=str(stranger.pk)).exists()
    assert is_deleted(world, stranger)
    assert not is_deleted(world, dana)
    assert not Job.objects.filter(state__in=["blocked", "dead"]).exists()
    assert give_up(world, "stranger").pk != stranger.pk, "the username and the address are free again"


def test_who_paid_unseen_or_came_back_is_kept(world: World) -> None:
    """The honest person: Stripe has a payment that we have not heard of, or a new payment is open."""
    paid = world.pay(world.signup("paid"))
    back = give_up(world, "back")
    then = clock.now() - 40 * DAY
    UserProfile.objects.update(created_at=then)
    Signup.objects.update(created_at=then, state="expired", ended_at=then)
    Seat.objects.update(state="released", reserved_until=None, released_at=then)
    Signup.objects.filter(profile=back).update(state="checkout", ended_at=None)
    retention.prune_all()
    assert Job.objects.filter(kind="forget_signup").count() == 1
    world.work()
    assert set(UserProfile.objects.all()) == {paid, back}
    assert not is_deleted(world, paid)


def entry(name: str, state: str, **fields: Any) -> WaitlistEntry:
    then = clock.now() - 40 * DAY
    values = {"email": f"{name}@example.com", "state": state, "created_at": then, "confirmed_at": then} | fields
    return WaitlistEntry.objects.create(**values)


def test_waitlist_addresses_go_when_they_left_or_are_served(db: None) -> None:
    then = clock.now() - 40 * DAY
    left = entry("left", "waiting")
    waitlist.leave(left.pk)
    mail.notify(
        key=f"waitlist_confirm:{left.pk}:x", template="waitlist_confirm", to=left.email,
        context={"confirm_url": "https://x", "product": ""},
    )  # fmt: skip
    entry("served", "served", invited_until=then)
    entry("over", "invited", invited_until=then)
    waiting, invited = entry("waiting", "waiting"), entry("invited", "invited", invited_until=clock.now() + DAY)
    retention.prune_all()
    assert set(WaitlistEntry.objects.all()) == {waiting, invited}
    assert not Notification.objects.exists()


def test_sent_mails_lose_what_they_were_filled_in_with(db: None) -> None:
    then = clock.now() - 31 * DAY
    for state in ("sent", "failed", "queued"):
        Notification.objects.create(
            key=state, template="expired", to="a@example.com", state=state, created_at=then, sent_at=then, context={"first_name": "Ada"}
        )  # fmt: skip
    retention.prune_all()
    assert set(Notification.objects.exclude(context={}).values_list("key", flat=True)) == {"failed", "queued"}
