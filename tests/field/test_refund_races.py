"""Two members of staff refund the same payment at the same moment, from dialogs that both showed nothing given back: one refund."""

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from apps.accounts.models import UserProfile
from apps.billing import change_requests, payment_changes
from apps.billing.change_requests import ChangeRequest
from apps.core.errors import BadInput
from tests.instances.house import at_once
from tests.world import World

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE_SECONDS = 30


@pytest.fixture
def shop(empty_world: World, transactional_db: None) -> World:
    empty_world.open_shop()
    empty_world.skip()
    return empty_world


def race(shop: World, profile: UserProfile, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The first has been checked and waits with its call until the second is as far, or is over; what each was answered."""
    charge, inside, over = shop.charge(profile), [], threading.Event()

    def wait() -> None:
        inside.append(1)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(inside) < 2 and not over.is_set() and time.monotonic() < deadline:
            time.sleep(0.01)

    def click(actor: str) -> str:
        asked = ChangeRequest(profile=profile, key=uuid.uuid4().hex, actor=actor, reason="The customer called about it")
        try:
            payment_changes.refund(asked, charge_id=charge, amount=200, seen=0, why="requested_by_customer")
        finally:
            over.set()
        return actor

    monkeypatch.setattr(change_requests, "_between_check_and_call", wait)
    return at_once([partial(click, "staff:ada"), partial(click, "staff:bob")], clients=2)


def refunds(shop: World, profile: UserProfile) -> list[int]:
    return [one.amount for one in shop.shop.v1.refunds.list({"charge": shop.charge(profile)}).data]


def test_two_who_refund_at_once_make_one_refund(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    dana = shop.subscriber("dana")
    answers = race(shop, dana, monkeypatch)
    assert refunds(shop, dana) == [200]
    refused = [one for one in answers if isinstance(one, BadInput)]
    assert len(refused) == 1
    assert refused[0].message == change_requests.AT_WORK or "as you saw" in refused[0].message


@pytest.mark.mutant
def test_mutant_without_the_lock_both_are_made(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    dana = shop.subscriber("dana")

    @contextmanager
    def never_held(*_: Any) -> Iterator[bool]:
        yield True

    monkeypatch.setattr(change_requests, "hold_if_free", never_held)
    race(shop, dana, monkeypatch)
    assert refunds(shop, dana) == [200, 200]
