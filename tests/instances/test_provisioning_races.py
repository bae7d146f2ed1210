"""Two instances are given one product at the same moment: one gets it, and who was second reads why not."""

import time
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError

from apps.core.errors import BadInput
from apps.instances.models import Provisioning
from apps.instances.provisioning import connections
from tests.instances import house
from tests.waiting import somebody_waits

pytestmark = pytest.mark.django_db(transaction=True)


def save_for_both(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the two got; the first one commits once the second one waits for it."""
    plain, product = connections._record, house.app()

    def record(*told: Any) -> None:
        until = time.monotonic() + 20
        while not somebody_waits():
            assert time.monotonic() < until
            time.sleep(0.01)
        plain(*told)

    monkeypatch.setattr(connections, "_record", record)
    rows = [
        Provisioning(instance=house.instance(product), kind="nextcloud", address=address, login="frontdesk")
        for address in ("https://cloud.example.com", "https://Cloud.example.com/")
    ]
    why = {"actor": "staff:ada", "reason": "test"}
    results = house.at_once([partial(connections.save_connection, row, **why) for row in rows], clients=2)
    assert Provisioning.objects.count() == 1
    return sorted((type(one) for one in results), key=lambda kind: kind is not type(None))


def test_the_second_reads_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert save_for_both(monkeypatch) == [type(None), BadInput]


@pytest.mark.mutant
def test_mutant_without_the_lock_only_the_database_holds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "lock_until_commit", lambda *_: None)
    assert save_for_both(monkeypatch) == [type(None), IntegrityError]
