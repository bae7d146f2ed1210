"""A legal hold and an erasure at the same moment: one of them is refused, and nobody is erased under a hold."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

from apps.accounts import legal_holds, people_locks
from apps.accounts.models import UserProfile
from apps.core.errors import BadInput
from apps.operations import privacy
from tests.instances import house
from tests.waiting import somebody_waits

pytestmark = pytest.mark.django_db(transaction=True)
BY: Any = {"actor": "staff:ada", "reason": "case 12"}


class HoldMeanwhile:
    """Once erasing has been allowed, somebody else sets a legal hold; erasing goes on when that has happened or waits for it."""

    def __init__(self, profile: UserProfile, allow: Callable[[UserProfile], str]) -> None:
        self.profile, self.allow, self.refused = profile, allow, ""
        self.thread = threading.Thread(target=self.place)

    def place(self) -> None:
        try:
            legal_holds.place(self.profile, **BY)
        except BadInput as refusal:
            self.refused = refusal.message
        finally:
            connection.close()

    def __call__(self, profile: UserProfile) -> str:
        answer = self.allow(profile)
        self.thread.start()
        while self.thread.is_alive() and not somebody_waits():
            time.sleep(0.01)
        return answer


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> Iterator[HoldMeanwhile]:
    hold = HoldMeanwhile(house.person(), privacy.refuse_erasing)
    monkeypatch.setattr(privacy, "refuse_erasing", hold)
    yield hold
    hold.thread.join()


def is_erased_under_a_hold(both: HoldMeanwhile) -> bool:
    privacy.erase(both.profile, **BY)
    both.thread.join()
    erased = UserProfile.objects.get(pk=both.profile.pk)
    return privacy.find_receipt(erased) is not None and legal_holds.is_held(erased)


def test_a_hold_that_comes_while_somebody_is_erased_is_told_that_it_is_too_late(both: HoldMeanwhile) -> None:
    assert not is_erased_under_a_hold(both)
    assert "nothing left to keep" in both.refused


@pytest.mark.mutant
def test_mutant_without_the_lock_somebody_is_erased_under_a_hold(
    both: HoldMeanwhile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people_locks, "lock_people", lambda *_ids: None)  # which holds the row as well
    monkeypatch.setattr(
        legal_holds, "lock", lambda profile: UserProfile.objects.select_related("user").get(pk=profile.pk)
    )
    assert is_erased_under_a_hold(both)
