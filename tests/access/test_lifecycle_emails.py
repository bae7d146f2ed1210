"""Every change of a subscription is told by one email, for its day, while it is true, and never in a heap after an outage."""

import datetime as dt
from typing import Any

import pytest
from djstripe.models import PaymentMethod

from apps.access import announcements, email_values, expiring_cards, lifecycle_emails
from apps.access.upcoming import Change, Upcoming
from apps.accounts.models import UserProfile
from apps.billing.models import InboundEvent, Subscription
from apps.core import clock, jobs
from apps.core.models import Job
from apps.core.states import AccessState
from apps.notifications.address_change import address_changed
from apps.notifications.email_list import EMAILS
from apps.notifications.models import Notification
from tests.world import World

DAY = dt.timedelta(days=1)
OURS = set(EMAILS) - {"welcome"}


def told(world: World, profile: UserProfile) -> list[str]:
    """Our emails after the welcome, oldest first."""
    world.work()
    return [name for name in world.notifications(profile) if name in OURS]


def text_of(world: World, profile: UserProfile) -> str:
    return str(world.standin.inbox(profile.email)[0]["text"])


def fail(world: World, profile: UserProfile) -> None:
    world.shop.control("payments", customer=profile.stripe_customer_id, mode="fail")
    world.pass_time(days=32)
    world.deliver()


def debit(world: World, profile: UserProfile) -> str:
    """The next period is paid by debit, of which the bank has not said anything yet; the invoice."""
    bank = world.shop.v1.payment_methods.attach("pm_usBankAccount", {"customer": profile.stripe_customer_id or ""}).id
    world.shop.v1.subscriptions.update(profile.stripe_subscription_id or "", {"default_payment_method": bank})
    world.pass_time(days=32)
    world.deliver()
    return str(world.stripe_state(profile)["latest_invoice"])


def pay_open(world: World, profile: UserProfile) -> None:
    world.shop.control("payments", customer=profile.stripe_customer_id, mode="ok")
    for invoice in world.shop.v1.invoices.list({"customer": profile.stripe_customer_id, "status": "open"}).data:
        world.shop.v1.invoices.pay(invoice.id)
    world.deliver()


def test_the_welcome_confirms_the_order(world: World) -> None:
    dana = world.subscriber("dana", personal=1, storage_100=2)
    sent = Notification.objects.get(profile=dana, template="welcome")
    assert sent.context["username"] == "dana"
    assert [one["name"] for one in sent.context["apps"]] == ["Nextcloud"]
    mail = next(one for one in world.standin.inbox(dana.email) if "is ready" in one["subject"])
    assert "Personal" in mail["text"]
    assert "2 × " in mail["text"]
    assert "The next payment is €8 on " in mail["text"]
    world.deliver()
    jobs.defer(lifecycle_emails.WELCOME, f"{dana.pk}:{dana.stripe_subscription_id}")
    world.work()
    assert world.notifications(dana).count("welcome") == 1


def test_the_welcome_is_an_order_confirmation_that_lasts(world: World, settings: Any) -> None:
    settings.BRAND = settings.BRAND | {
        "terms_url": "https://operator.example/terms",
        "withdrawal_url": "https://operator.example/w",
    }
    dana = world.subscriber("dana", personal=1, storage_100=2)
    (invoice,) = world.shop.v1.invoices.list({"customer": dana.stripe_customer_id or ""}).data
    mail = next(one for one in world.standin.inbox(dana.email) if "is ready" in one["subject"])
    today = Notification.objects.get(profile=dana, template="welcome").context["paid_on"]
    seat = dana.seats.get(state="assigned")
    for said in (
        f"- Nextcloud ({seat.instance.name}): {seat.instance.url}",
        f"You paid €8 on {today}.",
        f"Invoice {invoice.number} (PDF): {invoice.invoice_pdf}",
        f"You accepted version 1 of our terms on {today}.",
        "https://operator.example/terms",
        "/contracts/cancel/",
        "/contracts/withdraw/",
        "https://operator.example/w",
    ):
        assert said in mail["text"]
    for said in (seat.instance.name, f"You paid €8 on {today}.", invoice.invoice_pdf, "https://operator.example/terms"):
        assert said in mail["html"]


def test_who_cannot_withdraw_is_not_told_that_they_can(world: World, settings: Any) -> None:
    settings.WITHDRAWAL_DAYS = 0
    dana = world.subscriber("dana")
    (mail,) = [one for one in world.standin.inbox(dana.email) if "is ready" in one["subject"]]
    assert "withdraw" not in mail["text"]


def test_a_late_payment_a_last_warning_and_thanks(world: World, settings: Any) -> None:
    settings.PAYMENT_GRACE_DAYS = 6
    dana = world.subscriber("dana")
    fail(world, dana)
    assert told(world, dana) == ["payment_failed"]
    for _ in range(6):
        world.pass_time(days=1)
        world.sweep()
        if "access_ends_soon" in told(world, dana):
            break
    dana.refresh_from_db()
    assert dana.access_state == "grace"
    assert dana.access_until - clock.now() <= DAY
    assert "If you haven't paid by then" in text_of(world, dana)
    pay_open(world, dana)
    assert told(world, dana) == ["payment_failed", "access_ends_soon", "payment_recovered"]


def test_a_debit_that_the_bank_returns_is_told_as_that_with_its_account_and_dates(world: World, settings: Any) -> None:
    settings.PAYMENT_GRACE_DAYS = 6
    dana = world.subscriber("dana")
    invoice = debit(world, dana)
    assert told(world, dana) == []
    world.shop.control("async", invoice=invoice, paid=False)
    world.deliver()
    assert told(world, dana) == ["debit_refused"]
    text = text_of(world, dana)
    assert "from your bank account ending in 6789, and your bank returned it because there wasn't enough money" in text
    sent = Notification.objects.get(template="debit_refused")
    assert f"You keep your access until {sent.context['until']}." in text
    assert "card has expired" not in text
    assert (sent.context["invoice_url"] in text, sent.context["next_attempt"] in text) == (True, True)
    assert sent.context["next_attempt"]
    jobs.defer(lifecycle_emails.DEBIT_REFUSED, f"{dana.pk}:in_another")  # of which nothing is to be paid
    assert told(world, dana) == ["debit_refused"]


def test_who_paid_before_the_last_warning_gets_none(world: World, settings: Any) -> None:
    settings.PAYMENT_GRACE_DAYS = 20
    dana = world.subscriber("dana")
    fail(world, dana)
    pay_open(world, dana)
    for _ in range(4):
        world.pass_time(days=6)
        world.sweep()
    assert "access_ends_soon" not in told(world, dana)


def test_a_cancellation_is_told_with_its_dates_and_not_when_it_was_taken_back(world: World) -> None:
    dana, other = world.subscriber("dana"), world.subscriber("other")
    for one in (dana, other):
        world.shop.v1.subscriptions.update(one.stripe_subscription_id or "", {"cancel_at_period_end": True})
    world.deliver()
    assert told(world, dana) == ["cancellation_scheduled"]
    sent = Notification.objects.get(profile=dana, template="cancellation_scheduled")
    assert sent.context["date"]
    assert sent.context["final_date"]
    world.shop.v1.subscriptions.update(other.stripe_subscription_id or "", {"cancel_at_period_end": False})
    world.deliver()
    dana.refresh_from_db()
    left = (Upcoming.from_json(dana.forecast[0]).at - clock.now()).total_seconds()  # type: ignore[union-attr]
    world.pass_time(seconds=int(left) - 80_000)
    world.sweep()
    assert told(world, dana) == ["cancellation_scheduled", "access_ends_soon"]
    world.pass_time(days=1)
    world.deliver()
    assert told(world, dana) == ["cancellation_scheduled", "access_ends_soon", "subscription_canceled"]
    assert told(world, other) == ["cancellation_scheduled"]


def test_what_is_paid_for_has_changed(world: World) -> None:
    dana = world.subscriber("dana")
    item = world.stripe_state(dana)["items"]["data"][0]
    for quantity in (3, 2):
        wish: Any = {"items": [{"id": item["id"], "quantity": quantity}]}
        world.shop.v1.subscriptions.update(dana.stripe_subscription_id or "", wish)
        world.deliver()
    assert told(world, dana) == []
    world.pass_time(seconds=90)
    assert told(world, dana) == ["plan_changed"]
    assert "2 × " in text_of(world, dana)


def test_a_refund_is_told_once_with_its_amount(world: World) -> None:
    dana = world.subscriber("dana")
    world.shop.v1.refunds.create({"charge": world.charge(dana), "amount": 100})
    world.deliver()
    world.pass_time(seconds=90)
    world.deliver()
    assert told(world, dana) == ["refunded"]
    assert "€1" in text_of(world, dana)


def test_a_second_subscription_is_told_to_who_pays_it(world: World) -> None:
    dana = world.subscriber("dana")
    world.shop.subscribe(dana.stripe_customer_id or "", world.price("personal"), trial_period_days=3)
    world.deliver()
    assert told(world, dana).count("duplicate_found") == 1


def test_another_address_is_told_to_both_and_the_former_hears_no_name(world: World) -> None:
    dana = world.subscriber("dana")
    UserProfile.objects.filter(pk=dana.pk).update(email="dana.new@example.com")
    address_changed(dana, former="dana@example.com")
    world.work()
    to_former, to_new = world.standin.inbox("dana@example.com")[0], world.standin.inbox("dana.new@example.com")[0]
    assert "No longer belongs" in to_former["text"] or "no longer belongs" in to_former["text"]
    assert dana.user.first_name not in to_former["text"]
    assert "From now on we write to this one" in to_new["text"]


# --- what comes ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def leaver(db: None) -> UserProfile:
    """Somebody who has canceled, for whom nothing runs."""
    from django.contrib.auth.models import User

    user = User.objects.create(username="lea", first_name="Lea")
    profile = UserProfile.objects.create(
        user=user, email="lea@example.com", access_state="canceled", created_at=clock.now()
    )
    return comes(profile, Change.FINAL_EXPIRY, days=30)


def comes(profile: UserProfile, change: Change, *, days: float) -> UserProfile:
    at = clock.now() + days * DAY
    one = Upcoming(at, change, AccessState.EXPIRED, is_loss=change != Change.TRIAL_ENDS)
    profile.forecast, profile.final_expiry_at = [one.as_json()], at
    profile.save(update_fields=["forecast", "final_expiry_at"])
    announcements.announce_coming(profile, AccessState(profile.access_state), [one])
    return profile


def run_at(monkeypatch: Any, moment: dt.datetime) -> list[str]:
    """Run what is due at this moment, as after an outage until then; the templates asked for so far."""
    monkeypatch.setattr(clock, "now", lambda: moment)
    monkeypatch.setattr(clock, "timestamp", moment.timestamp)
    for job in Job.objects.filter(kind__startswith="notify_", state="queued", not_before__lte=moment).order_by("pk"):
        jobs.KINDS[job.kind].handler(job.key)
        job.delete()
    return list(Notification.objects.order_by("pk").values_list("template", flat=True))


def test_each_email_before_a_date_comes_on_its_day(leaver: UserProfile, monkeypatch: Any) -> None:
    final, start = leaver.final_expiry_at, clock.now()
    assert final is not None
    counts = [len(run_at(monkeypatch, start + days * DAY + dt.timedelta(minutes=5))) for days in range(31)]
    assert [counts[days] for days in (15, 16, 22, 23, 28, 29, 30)] == [0, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(("days", "count"), [(17, 1), (25, 1), (29.5, 1), (31, 0)])
def test_after_an_outage_only_the_email_that_is_still_useful_is_sent(
    leaver: UserProfile, monkeypatch: Any, days: float, count: int
) -> None:
    assert len(run_at(monkeypatch, clock.now() + days * DAY)) == count


def test_a_date_that_has_moved_has_emails_of_its_own(leaver: UserProfile, monkeypatch: Any) -> None:
    start = clock.now()
    comes(leaver, Change.FINAL_EXPIRY, days=60)
    assert run_at(monkeypatch, start + 29.5 * DAY) == []
    assert run_at(monkeypatch, start + 47 * DAY) == ["expiry_reminder"]


def test_a_trial_is_told_a_week_and_a_day_before_and_a_short_one_a_day_before(
    leaver: UserProfile, monkeypatch: Any
) -> None:
    start, leaver.access_state = clock.now(), "active"
    leaver.save(update_fields=["access_state"])
    Job.objects.all().delete()
    comes(leaver, Change.TRIAL_ENDS, days=5)
    assert run_at(monkeypatch, start + 4.1 * DAY) == ["trial_ending"]
    monkeypatch.undo()
    comes(leaver, Change.TRIAL_LAPSES, days=14)  # without a card
    assert len(run_at(monkeypatch, start + 7.1 * DAY)) == 2
    assert len(run_at(monkeypatch, start + 13.1 * DAY)) == 3
    assert [one.context["lapses"] for one in Notification.objects.order_by("pk")] == [False, True, True]


def test_every_lifecycle_email_is_in_the_list_and_has_a_job() -> None:
    templates = {template for template, _ in lifecycle_emails.EMAILS.values()}
    assert templates <= EMAILS.keys()
    assert {name for name, days in announcements.LEADS.items() if not set(days) <= email_values.STEPS.keys()} == set()


# --- cards, and payments that a bank wants confirmed --------------------------------------------------------------------


def expires(profile: UserProfile, month: dt.date) -> None:
    """The mirrored card of this subscriber has this as its last month."""
    (card,) = PaymentMethod.objects.filter(stripe_data__customer=profile.stripe_customer_id)
    card.stripe_data["card"] |= {"exp_year": month.year, "exp_month": month.month}
    card.save()


def test_the_card_that_is_charged_is_told_before_it_expires(world: World) -> None:
    soon, later, gone = (world.subscriber(name) for name in ("soon", "later", "gone"))
    this, following = expiring_cards.this_month_and_next(clock.now())
    expires(soon, following)
    expires(later, following + 70 * DAY)
    expires(gone, this)
    UserProfile.objects.filter(pk=gone.pk).update(access_state="canceled")
    for _ in range(2):
        expiring_cards.check_expiring_cards("daily")
        world.work()
    assert [told(world, one) for one in (soon, later, gone)] == [["card_expiring"], [], []]
    sent = Notification.objects.get(template="card_expiring")
    assert sent.context == {
        "first_name": soon.user.first_name,
        "card": "Visa ending in 4242",
        "month": f"{following:%B %Y}",
    }


def test_who_has_another_card_by_then_is_not_told(world: World) -> None:
    dana = world.subscriber("dana")
    (_, following) = expiring_cards.this_month_and_next(clock.now())
    expires(dana, following)
    expiring_cards.check_expiring_cards("daily")
    expires(dana, following + 900 * DAY)
    assert told(world, dana) == []


def test_a_payment_that_the_bank_wants_confirmed_is_told_as_that(world: World, settings: Any) -> None:
    dana = world.subscriber("dana")
    fail(world, dana)
    assert told(world, dana) == ["payment_failed"]
    invoice = Subscription.objects.get(customer_id=dana.stripe_customer_id).open_invoice_id
    InboundEvent.objects.create(
        stripe_event_id="evt_asks", type="invoice.payment_action_required", object_id=invoice, state="handled",
        handled_at=clock.now(), received_at=clock.now(), stripe_created_at=clock.now(), body="",
    )  # fmt: skip
    for _ in range(2):
        announcements.tell_of_failed_payments(dana)
        world.work()
    assert told(world, dana) == ["payment_failed", "payment_action_required"]
    assert "Your bank needs you to confirm" in text_of(world, dana)
