"""Two who are invited and one free position between them: one joins; without the lock of the payer both would."""

import uuid
from functools import partial

import pytest
from django.db.models import QuerySet

from apps.accounts.models import Membership, UserProfile
from apps.catalog.models import Product
from apps.core import clock
from apps.core.errors import BadInput
from apps.onboarding import people
from tests.dashboard.conftest import person, subscribe
from tests.instances import house

pytestmark = pytest.mark.django_db(transaction=True)


def joined_at_once(count: int) -> tuple[int, int]:
    """How many of `count` who are invited join a subscription for two, all at once; and how many were refused for that."""
    plan = Product.objects.create(slug=f"plan_{uuid.uuid4().hex[:8]}", name="Family", placement="plan", people=2)
    payer = person(f"payer{uuid.uuid4().hex[:8]}")
    subscribe(payer, plan)
    calls = []
    for _ in range(count):
        member = person(f"m{uuid.uuid4().hex[:8]}", stripe_customer_id=None)
        row = Membership.objects.create(payer=payer, email=member.email, invited_at=clock.now())
        calls.append(partial(people.join, row, UserProfile.objects.get(pk=member.pk), terms_version="1"))
    answers = house.at_once(calls, clients=count)
    full = [one for one in answers if isinstance(one, BadInput) and one.code == "full"]
    return Membership.objects.filter(payer=payer, accepted_at__isnull=False).count(), len(full)


def test_the_last_free_position_is_taken_once() -> None:
    assert [joined_at_once(4) for _ in range(3)] == [(1, 3)] * 3


@pytest.mark.mutant
def test_mutant_without_the_lock_two_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QuerySet, "select_for_update", lambda rows, **_options: rows)
    assert max(joined_at_once(6)[0] for _ in range(15)) > 1
