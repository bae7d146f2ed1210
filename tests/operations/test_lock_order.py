"""One erases a member while another syncs everybody for whom the payer pays: they wait for each other in one order, and never forever."""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import OperationalError, connection

from apps.access import memberships
from apps.accounts import people_locks
from apps.accounts.erasers import is_erased
from apps.accounts.models import Membership, UserProfile
from apps.catalog.models import Product
from apps.core import audit
from apps.operations import privacy, privacy_requests
from tests.access.test_sharing import make_member
from tests.dashboard.conftest import person, subscribe
from tests.instances import house

pytestmark = pytest.mark.django_db(transaction=True)
WAITS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def someone_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(WAITS)
        return bool(cursor.fetchone()[0])


def erase_while_syncing(monkeypatch: pytest.MonkeyPatch) -> tuple[UserProfile, list[Exception | Any]]:
    """In the middle of an erasure, the sync of the payer's people begins; the erasure goes on once that waits for it."""
    plan = Product.objects.create(slug="family", name="Family", placement="plan", people=3)
    payer = person("pat")
    subscribe(payer, plan)
    member = make_member(payer)
    assert payer.pk < member.pk  # the erasure begins with the row that the sync locks last
    begun = threading.Event()
    close_requests = privacy._close_requests

    def pause(profile: UserProfile, **more: Any) -> None:
        begun.set()
        until = time.monotonic() + 30
        while not someone_waits() and time.monotonic() < until:
            time.sleep(0.01)
        close_requests(profile, **more)

    monkeypatch.setattr(privacy, "_close_requests", pause)

    def sync() -> None:
        assert begun.wait(30)
        memberships.sync_members(str(payer.pk))

    erase = partial(privacy_requests.erase, member, actor=audit.CUSTOMER, reason="test")
    calls: list[Callable[[], Any]] = [erase, sync]
    return member, house.at_once(calls, clients=2)


def test_an_erasure_and_a_sync_of_the_same_people_both_end(monkeypatch: pytest.MonkeyPatch) -> None:
    member, answers = erase_while_syncing(monkeypatch)
    assert [one for one in answers if isinstance(one, Exception)] == []
    member.refresh_from_db()
    assert is_erased(member)
    assert Membership.objects.get(member=member).end == "erased"


@pytest.mark.mutant
def test_mutant_with_their_own_row_first_one_of_them_is_a_deadlock(monkeypatch: pytest.MonkeyPatch) -> None:
    own_first = people_locks.lock_people
    monkeypatch.setattr(privacy, "lock_shared", own_first)
    monkeypatch.setattr(privacy_requests, "lock_shared", own_first)
    _member, answers = erase_while_syncing(monkeypatch)
    assert [type(one) for one in answers if isinstance(one, Exception)] == [OperationalError]
