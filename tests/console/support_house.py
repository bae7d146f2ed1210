"""A house with something to ask about everybody: sixteen people who signed up, paid or did not, and what staff did for them."""

import datetime as dt

from django.db import connection

from apps.access import overrides, terms
from apps.access.models import TermsChange
from apps.accounts import notes
from apps.accounts.models import Signup, UserProfile
from apps.billing.models import InboundEvent, Subscription
from apps.catalog.models import Product
from apps.console import dashboard
from apps.core import clock, jobs
from apps.core.job_outcomes import PERIODIC
from apps.core.models import Job
from apps.instances import deployments
from apps.instances.models import Instance
from apps.notifications.models import Notification
from apps.operations import approvals, daily_figures, drift, incident, privacy_requests
from apps.operations.models import ApprovalRequest, Drift
from tests.notifications.mail_events import tell
from tests.world import World

ADA, SAM = "staff:ada", "staff:sam"
DAY = dt.timedelta(days=1)
# By the year, so that nothing of theirs is due in the two months that pass.
YEARLY = {
    "rosa": "Keller", "erik": "Sand", "hugo": "Moreau", "greta": "Holm", "iris": "Novak", "kim": "Aalto", "jan": "Petersen",
    "lea": "Fischer", "mona": "Rossi", "lena": "Kowalska", "oskar": "Blom", "zoe": "Hart", "nina": "Costa",
}  # fmt: skip


def open_house(town: World) -> dict[str, str]:
    """Everybody has come, and it is the day after most of it happened. Returns the dates and ids that the answers name."""
    town.shop.control("settings", retry_days=[3, 5, 7, 14, 21], end="unpaid")
    change = TermsChange(
        grace_days=7, expiry_days=30, recovery_hours=72, paused_collection="keep", lost_dispute="suspend"
    )
    terms.save_change(change, actor=ADA, reason="A week to pay")
    for name, last_name in {"dana": "Winter", "fay": "Lindqvist"}.items():
        join(town, name, last_name, interval="month")
    for name, last_name in YEARLY.items():
        join(town, name, last_name)
    town.deliver()
    town.pass_time(days=8)
    join(town, "otto", "Brandt", interval="month")
    town.deliver()
    miss_payments(town)
    act_yesterday(town)
    town.pass_time(days=1)
    town.deliver()
    change_at_stripe(town)
    run_at_night(town)
    change_in_keycloak(town)
    ask_for_things()
    begin_incident(town)
    fail_an_event(town)
    dashboard.forget()
    return read_facts()


def who(name: str) -> UserProfile:
    return UserProfile.objects.select_related("user").get(user__username=name)


def join(town: World, name: str, last_name: str, *, interval: str = "year") -> None:
    signup = town.signup(name, interval=interval)
    Signup.objects.filter(pk=signup.pk).update(last_name=last_name)
    signup.refresh_from_db()
    town.pay(signup)


def miss_payments(town: World) -> None:
    """Three renewals fail. Four days after the last of them the other two are past their grace."""
    for name in ("dana", "fay", "otto"):
        town.shop.control("payments", customer=who(name).stripe_customer_id, mode="fail")
    end = Subscription.objects.get(stripe_id=who("otto").stripe_subscription_id).current_period_end
    assert end is not None
    town.pass_time(seconds=int((end + 3.5 * DAY - clock.now()).total_seconds()))
    town.deliver()
    assert {name: who(name).access_state for name in ("dana", "fay", "otto")} == {
        "dana": "suspended", "fay": "suspended", "otto": "grace",
    }  # fmt: skip


def act_yesterday(town: World) -> None:
    """Two more sign up, and staff decide."""
    for name in ("pia", "quentin"):
        join(town, name, "Moser")
    town.deliver()
    overrides.extend_grace(profile=who("fay"), days=7, actor=SAM, reason="Waits for a new card from her bank")
    overrides.hold(profile=who("oskar"), actor=ADA, reason="Spam was sent from this account")
    notes.write_note(who("dana"), text="Called: her bank sends a new card on Friday.", actor=SAM)
    town.work()


def change_at_stripe(town: World) -> None:
    """A refund, a dispute, two who left, a trial, one who leaves, and a line for which no instance has room."""
    subscriptions = town.shop.v1.subscriptions
    town.shop.v1.refunds.create({"charge": town.charge(who("rosa")), "amount": 200})
    town.shop.control("dispute", charge=town.charge(who("erik")))
    for name in ("hugo", "greta"):
        subscriptions.cancel(who(name).stripe_subscription_id or "")
    trial = {"trial_end": int((clock.now() + 3 * DAY).timestamp()), "proration_behavior": "none"}
    subscriptions.update(who("iris").stripe_subscription_id or "", trial)  # type: ignore[arg-type]
    subscriptions.update(who("nina").stripe_subscription_id or "", {"cancel_at_period_end": True})
    town.deliver()
    plus = [Product.objects.get(slug="plus")]
    until = clock.now() + 5 * DAY
    overrides.grant(profile=who("greta"), products=plus, until=until, actor=ADA, reason="Wrote our handbook")
    town.work()
    town.only_room_for(1, "vaultwarden")
    caps = {"soft_cap": 10, "allocation_cap": 12, "hard_cap": 14}
    for instance in Instance.objects.filter(product__slug="nextcloud"):
        deployments.change_caps(instance=instance, **caps, actor=ADA, reason="The disks are smaller than planned")
    line = {"items": [{"price": town.price("vaultwarden", "year"), "quantity": 1}]}
    subscriptions.update(who("jan").stripe_subscription_id or "", line)  # type: ignore[arg-type]
    town.deliver()


def change_in_keycloak(town: World) -> None:
    """One account disabled by hand; another's address changed, and taken over."""
    for name, change in (("kim", {"enabled": False}), ("lena", {"email": "lena@new.example", "emailVerified": True})):
        profile = who(name)
        town.admin("PUT", f"/users/{profile.keycloak_id}", json=town.account(profile) | change)
        drift.compare_subscriber(profile)
    found = Drift.objects.get(profile=who("lena"), resolved_at=None)
    drift.fix_drift(found, actor=ADA, reason="She has told us by telephone")
    town.work()
    for name, outcome in (("dana", "delivered"), ("rosa", "bounced")):
        tell(Notification.objects.filter(profile=who(name), state="sent").order_by("pk").last(), outcome)  # type: ignore[arg-type]


def ask_for_things() -> None:
    """Somebody asks to be erased, and support for an operator's approval."""
    today, reason = clock.now().date(), "She asked for it by letter"
    privacy_requests.receive(who("lea"), kind="erasure", received_on=today, actor=SAM, reason=reason)
    dana = who("dana")
    approvals.ask(
        ApprovalRequest.Action.EXTEND_GRACE, subject=f"profile:{dana.pk}", profile=dana, terms={"days": 30}, actor=SAM,
        reason="She is in hospital until spring",
    )  # fmt: skip


def begin_incident(town: World) -> None:
    until = clock.now() + DAY
    incident.begin(product=None, until=until, actor=ADA, reason="Stripe reports wrong failures")
    town.shop.v1.subscriptions.cancel(who("mona").stripe_subscription_id or "")
    town.deliver()


def run_at_night(town: World) -> None:
    daily_figures.record()
    jobs.defer("reconcile_all", PERIODIC, reason="night")
    town.work()


def beat() -> None:
    """The worker lives; it says so every few seconds."""
    with connection.cursor() as cursor:
        for part in ("worker", "cluster"):
            cursor.execute(
                "INSERT INTO core_heartbeat VALUES (%s, clock_timestamp()) ON CONFLICT (name) DO UPDATE SET at = clock_timestamp()",
                [f"{part}@desk:1"],
            )


def fail_an_event(town: World) -> None:
    """An event is stored, and its job has given up."""
    town.shop.v1.customers.update(who("zoe").stripe_customer_id or "", {"name": "Zoe Hart-Lund"})
    (event,) = town.new_events()
    assert town.post_events([event]) == [200]
    failed = {
        "state": Job.State.DEAD,
        "attempts": 4,
        "finished_at": clock.now(),
        "last_error": "Stripe's answer cannot be read.",
    }
    assert Job.objects.filter(key=event["id"]).update(**failed) == 1


def read_facts() -> dict[str, str]:
    """What only this run knows."""
    dana, last = who("dana"), InboundEvent.objects.latest("pk")
    attempt = next(dt.datetime.fromisoformat(one["at"]) for one in dana.forecast if one["change"] == "payment_attempt")
    return {
        "customer": dana.stripe_customer_id or "",
        "attempt": f"{attempt:%-d %b %Y}",
        "today": f"{clock.now():%-d %b %Y}",
        "yesterday": f"{clock.now() - DAY:%-d %b %Y}",
        "event": f"{last.received_at:%-d %b %Y, %H:%M}",
    }
