"""The mass guard at night: a look at everybody that would shut out many takes nothing from anybody before staff say so."""

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.access.facts import read_facts
from apps.access.models import AccessOverride
from apps.access.policy import decide
from apps.accounts.models import Signup, UserProfile
from apps.billing.models import Subscription, UserSubscriptionItem
from apps.catalog.models import Product
from apps.core import clock, jobs
from apps.core.errors import NeedsOperator
from apps.core.models import Job
from apps.instances.models import Instance, Seat
from apps.operations import safeguard, sweeps
from apps.operations.bulk_facts import decide_many
from apps.operations.models import SafeguardReview

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)


def late(count: int, *, start: int = 0, **fields: Any) -> list[UserProfile]:
    """People whose payment failed yesterday and who are within three days of grace."""
    now = clock.now()
    users = User.objects.bulk_create([User(username=f"late-{start + n}") for n in range(count)])
    people = UserProfile.objects.bulk_create(
        UserProfile(**{
            "user": user, "email": f"{user.username}@example.com", "stripe_customer_id": f"cus_{user.username}",
            "keycloak_id": f"kc-{user.username}", "access_state": "grace", "access_until": now + 2 * DAY,
            "created_at": now, "synced_at": now,
        } | fields)
        for user in users
    )  # fmt: skip
    Subscription.objects.bulk_create(
        Subscription(
            stripe_id=f"sub_{one.user.username}", customer_id=one.stripe_customer_id or "", status="past_due",
            past_due_since=now - DAY, stripe_created_at=now, fetched_at=now,
        )
        for one in people
    )  # fmt: skip
    return people


@pytest.fixture(autouse=True)
def grace(settings: Any) -> None:
    settings.PAYMENT_GRACE_DAYS = 3


def looks() -> int:
    return Job.objects.filter(kind="reconcile", state="queued").count()


def test_terms_that_were_changed_for_the_worse_stop_the_night_and_staff_let_it_go_on(settings: Any) -> None:
    people = late(30)
    fine = late(3, start=100, access_state="suspended", access_until=None)
    sweeps.reconcile_all("periodic")
    assert looks() == 33
    Job.objects.all().delete()
    UserProfile.objects.update(pending_since=None)

    settings.PAYMENT_GRACE_DAYS = 0
    jobs.defer("reconcile_all", "periodic")
    jobs.run(claimed())
    blocked = Job.objects.get(kind="reconcile_all")
    assert blocked.state == "blocked"
    assert "would take access from 30 of 30 subscribers; more than 20" in blocked.last_error
    assert set(Job.objects.filter(kind="reconcile").values_list("key", flat=True)) == {str(one.pk) for one in fine}
    asked = SafeguardReview.objects.get()
    assert asked.profile_ids == [one.pk for one in people]

    safeguard.approve(asked, expected=30, actor="staff:ada", reason="the board wants no grace any more")
    jobs.run(claimed("reconcile_all"))
    assert looks() == 33
    assert Job.objects.exclude(kind="reconcile").exclude(state__in=["done", "superseded"]).count() == 0


def claimed(kind: str = "") -> Job:
    """The job that is due longest, of that kind."""
    if kind:
        Job.objects.exclude(kind=kind).filter(state="queued").update(not_before=clock.now() + DAY)
    job = jobs.claim()
    assert job is not None
    return job


@pytest.mark.mutant
def test_without_the_guard_the_night_would_shut_them_out(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    late(30)
    settings.PAYMENT_GRACE_DAYS = 0
    monkeypatch.setattr(safeguard, "exceeds_limit", lambda *_: False)
    sweeps.reconcile_all("periodic")
    assert looks() == 30


def test_twenty_are_not_asked_about_and_five_in_a_hundred_neither(settings: Any) -> None:
    late(20)
    settings.PAYMENT_GRACE_DAYS = 0
    sweeps.reconcile_all("periodic")
    assert looks() == 20
    assert not SafeguardReview.objects.exists()
    assert (safeguard.loss_limit(399), safeguard.loss_limit(400), safeguard.loss_limit(1000)) == (20, 20, 50)
    assert (safeguard.exceeds_limit(50, 1000), safeguard.exceeds_limit(51, 1000)) == (False, True)


def test_who_loses_it_by_a_date_of_their_own_or_an_event_is_not_the_sweeps(settings: Any) -> None:
    """However many grace periods end in one night: each has its own look, which nothing holds back."""
    late(30, access_until=clock.now())
    asked = late(30, start=100)
    settings.PAYMENT_GRACE_DAYS = 0
    sweeps.reconcile.enqueue_many([one.pk for one in asked], reason="test")
    sweeps.reconcile_all("periodic")
    assert looks() == 60


def test_a_loss_is_counted_over_all_slices_of_a_night(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "SLICE", 10)
    late(30)
    settings.PAYMENT_GRACE_DAYS = 0
    jobs.defer("reconcile_all", "periodic")
    for _ in range(4):
        jobs.run(claimed())
    assert looks() == 0
    assert len(SafeguardReview.objects.get().profile_ids) == 30
    jobs.retry(Job.objects.get(state="blocked"), actor="staff:ada")
    jobs.run(claimed())
    assert looks() == 0
    safeguard.approve(SafeguardReview.objects.get(), expected=30, actor="staff:ada", reason="the board wants no grace")
    jobs.run(claimed())
    assert looks() == 30


def test_a_place_that_new_terms_would_give_up_early_is_a_loss_too(settings: Any) -> None:
    settings.FINAL_EXPIRY_DAYS = 30
    dana, _ = with_a_seat()
    now = clock.now()
    Subscription.objects.update(status="canceled", ended_at=now - 10 * DAY)
    Seat.objects.update(state="retained")
    UserProfile.objects.update(access_state="canceled", access_until=now + 20 * DAY, final_expiry_at=now + 20 * DAY)
    assert safeguard.find_losing([dana.pk]) == []
    settings.FINAL_EXPIRY_DAYS = 5
    assert safeguard.find_losing([dana.pk]) == [dana.pk]
    Seat.objects.all().delete()
    assert safeguard.find_losing([dana.pk]) == []


def with_a_seat() -> tuple[UserProfile, Product]:
    """Somebody on a plan with one app and a seat of it; and the plan."""
    cloud = Product.objects.create(slug="cloud", name="Cloud", is_app=True, needs_instance=True)
    plan = Product.objects.create(slug="plan", name="Plan")
    plan.includes.add(cloud)
    group = Group.objects.create(name="/frontdesk/cloud-1")
    instance = Instance.objects.create(
        slug="cloud-1", name="Cloud 1", product=cloud, url="https://cloud-1.example.com/", group=group,
        soft_cap=7, allocation_cap=8, hard_cap=9,
    )  # fmt: skip
    dana, now = late(1)[0], clock.now()
    Seat.objects.create(
        profile=dana, product=cloud, instance=instance, state="assigned", created_at=now, changed_at=now
    )
    UserSubscriptionItem.objects.create(
        profile=dana, subscription=Subscription.objects.get(), stripe_item_id="si_1", stripe_price_id="price_1",
        product=plan, currency="eur", interval="month",
    )  # fmt: skip
    return dana, plan


def test_an_app_that_was_taken_out_of_a_plan_behind_our_back_is_a_loss_too() -> None:
    dana, plan = with_a_seat()
    assert safeguard.find_losing([dana.pk]) == []
    plan.includes.clear()
    assert safeguard.find_losing([dana.pk]) == [dana.pk]


def test_many_are_decided_as_each_alone_and_for_a_cost_that_does_not_grow() -> None:
    people, now = late(6), clock.now()
    kinds = {
        0: {"status": "canceled", "ended_at": now},
        1: {"status": "active"},
        2: {"status": "canceled", "ended_at": now - 40 * DAY},
        3: {"status": "unpaid"},
    }
    for index, fields in kinds.items():
        Subscription.objects.filter(customer_id=people[index].stripe_customer_id).update(**fields)
    UserProfile.objects.filter(pk=people[0].pk).update(recovering_until=now + DAY)
    Signup.objects.create(
        profile=people[2], state="checkout", username="late-2", email="late-2@example.com", email_proven_at=now,
        created_at=now - 20 * DAY, checkout_expires_at=now + DAY,
    )  # fmt: skip
    AccessOverride.objects.create(
        profile=people[4], kind="hold", reason="abuse", created_by="staff:ada", created_at=now, starts_at=now
    )
    found = decide_many(UserProfile.objects.all())
    alone = {one.pk: decide(read_facts(one)) for one in UserProfile.objects.all()}
    assert {pk: (d.state, d.account, d.seats) for pk, d in found.items()} == {
        pk: (d.state, d.account, d.seats) for pk, d in alone.items()
    }
    assert {d.state.value for d in found.values()} == {
        "recovering",
        "active",
        "canceled",
        "suspended",
        "on_hold",
        "grace",
    }

    def cost() -> int:
        with CaptureQueriesContext(connection) as asked:
            safeguard.find_losing(list(UserProfile.objects.values_list("pk", flat=True)))
        return len(asked)

    few = cost()
    late(200, start=100)
    assert cost() == few <= 17


def test_the_question_is_put_as_a_sentence_with_the_numbers(settings: Any) -> None:
    late(25)
    settings.PAYMENT_GRACE_DAYS = 0
    with pytest.raises(NeedsOperator, match="from 25 of 25 subscribers"):
        sweeps.reconcile_all("periodic")
