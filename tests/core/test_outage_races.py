"""Two workers note the same outage of the database at the same moment: the guard, and what happens without it."""

import datetime as dt
import threading
import time

import pytest
from django.db import connection, transaction

from apps.core import clock, outages
from apps.core.models import Outage
from tests.waiting import somebody_waits

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE_SECONDS = 20


def note_at_once() -> int:
    """How many outages there are after two workers have noted one, the second before the first has committed."""
    began = clock.now() - dt.timedelta(seconds=30)

    def note() -> None:
        outages.note_past("postgres", began, "no connection")

    def note_and_close() -> None:
        note()
        connection.close()

    second = threading.Thread(target=note_and_close)
    with transaction.atomic():
        note()
        second.start()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while second.is_alive() and time.monotonic() < deadline and not somebody_waits():
            time.sleep(0.01)
    second.join()
    return Outage.objects.count()


def test_what_two_workers_note_at_once_is_one_outage() -> None:
    assert note_at_once() == 1


@pytest.mark.mutant
def test_mutant_without_the_lock_it_is_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "lock_until_commit", lambda *_: None)
    assert note_at_once() == 2
