"""The operator's terms in the database: which are in force for whom, and that a change reaches who is concerned."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from django.db import IntegrityError

from apps.access import terms
from apps.access.models import TermsChange
from apps.access.policy_facts import Terms
from apps.access.terms import TermsBook, kindest, read_terms
from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.core import clock
from apps.core.models import AuditEntry
from apps.onboarding import recovery
from tests.world import World

DAY = dt.timedelta(days=1)
GENERAL = Terms(grace=3 * DAY, expiry=30 * DAY, paused_closes=True)
WHY = {"actor": "staff:ada", "reason": "Agreed with the board."}


def change(**values: Any) -> TermsChange:
    return terms.save_change(TermsChange(**values), **WHY)


@pytest.mark.django_db
def test_the_environment_gives_the_first_values_and_a_change_replaces_them(settings: Any) -> None:
    settings.PAYMENT_GRACE_DAYS, settings.FINAL_EXPIRY_DAYS, settings.RECOVERY_WINDOW_HOURS = 2, 40, 24
    assert read_terms().general == Terms(grace=2 * DAY, expiry=40 * DAY, recovery=DAY)
    change(grace_days=9, lost_dispute="flag")
    assert read_terms().general == Terms(grace=9 * DAY, expiry=40 * DAY, recovery=DAY, lost_dispute_closes=False)
    change(grace_days=0)
    assert read_terms().general == Terms(grace=0 * DAY, expiry=40 * DAY, recovery=DAY)
    assert TermsChange.objects.count() == 2  # the history


@pytest.mark.parametrize(
    ("products", "people", "expected"),
    [
        ({}, {}, None),
        ({7: {"grace": 9 * DAY}}, {}, None),
        ({1: {"grace": 9 * DAY}}, {}, replace(GENERAL, grace=9 * DAY)),
        (
            {1: {"grace": 9 * DAY}, 2: {"expiry": 90 * DAY, "grace": DAY}},
            {},
            replace(GENERAL, grace=9 * DAY, expiry=90 * DAY),
        ),
        ({1: {"paused_closes": False}, 2: {"grace": DAY}}, {}, replace(GENERAL, paused_closes=False)),
        ({1: {"grace": 9 * DAY}}, {5: {"grace": DAY}}, replace(GENERAL, grace=DAY)),
        ({1: {"grace": 9 * DAY}}, {6: {"grace": DAY}}, replace(GENERAL, grace=9 * DAY)),
    ],
)
def test_a_subscription_has_the_kindest_terms_of_its_products_and_the_subscribers_own_above(
    products: dict[int, Any], people: dict[int, Any], expected: Terms | None
) -> None:
    assert TermsBook(GENERAL, products, people).for_subscription([1, 2, None], 5) == expected


def test_kindest_is_at_least_as_kind_as_each() -> None:
    hard = Terms(grace=0 * DAY, expiry=DAY, recovery=DAY, paused_closes=True, payment_attempts=4)
    kind = Terms(grace=DAY, expiry=2 * DAY, recovery=2 * DAY, lost_dispute_closes=False)
    assert kindest([hard, kind]) == replace(kind, payment_attempts=4)


@pytest.mark.django_db
def test_a_change_is_of_one_scope() -> None:
    with pytest.raises(IntegrityError, match="terms_have_a_reason"):
        TermsChange.objects.create(grace_days=1, changed_by="staff:ada", changed_at=dt.datetime.now(dt.UTC))


def late(world: World, name: str) -> UserProfile:
    """Somebody whose renewal failed a day ago."""
    one = world.subscriber(name)
    world.shop.control("payments", customer=one.stripe_customer_id, mode="fail")
    return one


def test_grace_is_the_general_one_the_products_or_the_subscribers_own(world: World) -> None:
    dana, omar = late(world, "dana"), late(world, "omar")
    change(profile=omar, grace_days=20)
    world.pass_time(days=32)
    world.deliver()
    assert (world.state(dana).access, world.state(omar).access) == ("suspended", "grace")
    change(product=Product.objects.get(slug="personal"), grace_days=12)
    for one in (dana, omar):
        ask(world, one)
    assert (world.state(dana).access, world.state(omar).access) == ("grace", "grace")
    dana.refresh_from_db()
    omar.refresh_from_db()
    assert dana.access_until is not None
    assert omar.access_until is not None
    assert abs(omar.access_until - dana.access_until - 8 * DAY) < dt.timedelta(minutes=5)


def ask(world: World, profile: UserProfile) -> None:
    from apps.access import reconcile

    reconcile.enqueue(profile, reason="terms changed")
    world.work()


def test_the_recovery_window_and_the_final_expiry_follow_the_terms_of_the_subscriber(world: World) -> None:
    dana = world.subscriber("dana")
    change(profile=dana, recovery_hours=5, expiry_days=90)
    world.shop.v1.subscriptions.cancel(str(dana.stripe_subscription_id))
    world.deliver()
    world.work()
    dana.refresh_from_db()
    assert dana.access_state == "canceled"
    assert dana.final_expiry_at is not None
    gone = dana.final_expiry_at - 90 * DAY
    opened = recovery.open_window(dana, **WHY)
    assert abs(opened - gone - dt.timedelta(hours=5)) < dt.timedelta(minutes=5)


def test_the_recovery_window_is_the_products_too(world: World) -> None:
    dana = world.subscriber("dana")
    change(product=Product.objects.get(slug="personal"), recovery_hours=7)
    world.shop.v1.subscriptions.cancel(str(dana.stripe_subscription_id))
    world.deliver()
    opened = recovery.open_window(dana, **WHY)
    assert abs(opened - clock.now() - dt.timedelta(hours=7)) < dt.timedelta(minutes=5)


def test_each_change_is_in_the_audit_of_whom_it_is_about(world: World) -> None:
    dana = world.subscriber("dana")
    change(profile=dana, grace_days=4)
    change(grace_days=1, paused_collection="close")
    lines = AuditEntry.objects.filter(action="terms_changed").order_by("pk")
    assert [(one.subject_kind, one.subject_id, one.actor, one.after) for one in lines] == [
        ("profile", str(dana.pk), "staff:ada", {"grace_days": 4}),
        ("terms", "general", "staff:ada", {"grace_days": 1, "paused_collection": "close"}),
    ]
