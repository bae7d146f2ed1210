"""Who needs a sync at night: found from our rows and from what the comparisons left, so that nobody else is synced."""

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.access import overrides
from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.core import clock, comparison_runs, jobs
from apps.core.models import Job
from apps.operations import account_checks
from apps.operations.models import Drift
from apps.operations.outdated import find_outdated
from tests.world import World

pytestmark = pytest.mark.django_db
BY = {"actor": "staff:ada", "reason": "test"}


def outdated() -> set[str]:
    found = find_outdated(UserProfile.objects.all())
    return set(UserProfile.objects.filter(pk__in=found).values_list("user__username", flat=True))


def night() -> list[str]:
    """The keys of the reconciles that a night asks for."""
    jobs.defer("reconcile_all", "periodic")
    jobs.run(next(job for job in iter(jobs.claim, None) if job.kind == "reconcile_all"))
    asked = Job.objects.filter(kind="reconcile", state="queued", not_before__lte=clock.now())
    return sorted(asked.values_list("key", flat=True))


def test_a_night_syncs_nobody_for_whom_nothing_changed(world: World) -> None:
    """Active, to be canceled, canceled, and on hold."""
    dana, erik, fay, gil = (world.subscriber(name) for name in ("dana", "erik", "fay", "gil"))
    world.shop.v1.subscriptions.update(erik.stripe_subscription_id or "", {"cancel_at_period_end": True})
    world.shop.v1.subscriptions.cancel(fay.stripe_subscription_id or "")
    overrides.hold(profile=gil, **BY)
    world.deliver()
    assert [world.state(one).access for one in (dana, erik, fay, gil)] == ["active", "active", "canceled", "on_hold"]
    assert outdated() == set()
    assert night() == []
    world.pass_time(days=8)  # and nothing of it has come to its date
    assert night() == []


def test_another_decision_than_the_recorded_one_is_synced(world: World, settings: Any) -> None:
    """The terms were changed: everybody whose dates follow from them, and nobody else."""
    dana, erik = world.subscriber("dana"), world.subscriber("erik")
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    world.deliver()
    settings.FINAL_EXPIRY_DAYS = 77
    assert outdated() == {"dana"}
    assert night() == [str(dana.pk)]
    world.work()
    assert outdated() == set()
    UserProfile.objects.filter(pk=erik.pk).update(access_reason={"code": "unpaid"})
    assert outdated() == {"erik"}


def test_what_the_comparisons_found_is_synced(world: World) -> None:
    dana, erik, fay = (world.subscriber(name) for name in ("dana", "erik", "fay"))
    now = clock.now()
    for profile, kind in ((dana, Drift.Kind.DISABLED), (fay, Drift.Kind.EMAIL)):
        Drift.objects.create(profile=profile, kind=kind, first_seen_at=now, last_seen_at=now)
    run = comparison_runs.begin(account_checks.SESSIONS)
    found = (("profile", erik.pk, "keycloak"),)
    comparison_runs.add(run, comparison_runs.Tally(looked_at=1, found=1, items=found), ended=True)
    assert outdated() == {"dana", "erik"}  # an email is for staff to fix


def test_who_is_pending_late_or_without_a_job_for_the_date_is_synced(world: World) -> None:
    dana, erik, fay, gil = (world.subscriber(name) for name in ("dana", "erik", "fay", "gil"))
    world.shop.control("payments", customer=erik.stripe_customer_id, mode="fail")
    overrides.grant(
        profile=gil, products=[Product.objects.get(slug="vaultwarden")], until=clock.now() + dt.timedelta(days=90), **BY
    )
    world.deliver()
    world.pass_time(days=31, seconds=4000)
    world.deliver()
    assert world.state(erik).access == "suspended"
    UserProfile.objects.filter(pk=dana.pk).update(pending_since=clock.now())
    assert outdated() == {"dana", "erik"}
    Job.objects.filter(kind="reconcile", key=str(gil.pk)).delete()
    assert outdated() == {"dana", "erik", "gil"}
    assert fay.pk not in find_outdated(UserProfile.objects.all())


def test_it_costs_the_same_queries_for_few_as_for_many(world: World) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as captured:
            find_outdated(UserProfile.objects.all())
        return len(captured)

    world.subscriber("dana")
    few = count()
    for name in ("erik", "fay", "gil"):
        world.subscriber(name)
    assert count() == few <= 18
