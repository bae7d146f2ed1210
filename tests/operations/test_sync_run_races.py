"""F66 for syncs of many: the same asked at once is one run, and asking the failed ones again at once is once."""

from functools import partial
from typing import Any

import pytest

from apps.accounts.models import UserProfile
from apps.core import clock
from apps.core.errors import BadInput
from apps.core.models import AuditEntry, Job
from apps.operations import sync_runs
from apps.operations.models import SyncRun
from tests.instances import house
from tests.operations.test_safeguard import late

pytestmark = pytest.mark.django_db(transaction=True)
ASKED: Any = {"actor": "staff:sam", "reason": "after the night of the long outage"}


def start_at_once(people: list[UserProfile], clients: int = 8) -> set[Any]:
    """What so many clicks at one moment were answered."""
    ids = [one.pk for one in people]
    click = partial(sync_runs.start_sync_run, ids, scope=SyncRun.Scope.SELECTED, **ASKED)
    return {answer.pk for answer in house.at_once([click] * clients, clients=clients)}


@pytest.mark.fault("F66")
@pytest.mark.times(50)
def test_a_dialog_that_is_sent_eight_times_at_once_begins_one_run() -> None:
    people = late(40)
    assert len(start_at_once(people)) == 1
    assert SyncRun.objects.count() == Job.objects.filter(kind="sync_run").count() == 1
    assert AuditEntry.objects.filter(action="sync_run_started").count() == 1
    assert len(start_at_once(people[:10])) == 1  # others: another run
    SyncRun.objects.update(created_at=clock.now() - sync_runs.SAME_CLICK)
    assert len(start_at_once(people)) == 1  # the same an hour later: another run
    assert SyncRun.objects.count() == 3


@pytest.mark.mutant
@pytest.mark.fault("F66")
def test_mutant_without_the_lock_it_begins_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_runs, "lock_until_commit", lambda *_: None)
    assert len(start_at_once(late(40))) > 1


@pytest.mark.fault("F66")
def test_the_failed_ones_are_asked_again_once() -> None:
    (dana,) = late(1)
    run = sync_runs.start_sync_run([dana.pk], scope=SyncRun.Scope.SELECTED, **ASKED)
    run.results.update(generation=0)
    now = clock.now()
    Job.objects.create(
        kind="reconcile", key=str(dana.pk), lane=f"profile:{dana.pk}", state="dead", not_before=now, created_at=now
    )
    click = partial(sync_runs.retry_failed, run, **ASKED)
    answers = house.at_once([click] * 6, clients=6)
    assert sorted(str(type(one).__name__) for one in answers) == ["BadInput"] * 5 + ["int"]
    assert all(isinstance(one, BadInput) or one == 1 for one in answers)
    assert AuditEntry.objects.filter(action="sync_run_retried").count() == 1
