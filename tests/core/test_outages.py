"""The history of outages: one row from the first unanswered call to the first answer, with what waited meanwhile."""

import datetime as dt
from collections.abc import Callable

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.urls import reverse

from apps.billing.models import InboundEvent
from apps.core import clock, dependencies, jobs, outages, retention, sweep
from apps.core.errors import DependencyDown
from apps.core.models import Dependency, Job, Outage
from tests.console.conftest import staff
from tests.core.test_jobs import make_due

__all__ = ["staff"]  # the fixture
pytestmark = pytest.mark.django_db


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Whether Stripe answers the jobs of kind `note`."""
    known = {"stripe": True}

    def work(_key: str) -> None:
        if not known["stripe"]:
            raise DependencyDown("stripe", "No answer within 10 s.")

    monkeypatch.setattr(jobs, "KINDS", {})
    jobs.register("note", work, needs=("stripe",))
    jobs.register("letter", work, needs=("stripe",))
    return known


def test_an_outage_is_one_row_from_the_first_silence_to_the_first_answer(answers: dict[str, bool]) -> None:
    answers["stripe"] = False
    for key in "123":
        jobs.defer("note", key)
    jobs.defer("letter", "1")
    jobs.drain()
    row = Outage.objects.get()
    assert (row.peer, row.ended_at, row.reason) == ("stripe", None, "No answer within 10 s.")
    Dependency.objects.update(probe_at=clock.now())
    make_due()
    jobs.drain(limit=1)
    assert Outage.objects.get() == row
    answers["stripe"] = True
    Dependency.objects.update(probe_at=clock.now())
    make_due()
    jobs.drain()
    row.refresh_from_db()
    assert row.ended_at is not None
    assert row.ended_at >= row.began_at
    assert sum(row.waited.values()) in {3, 4}  # the one that found out had stopped waiting
    assert set(row.waited) <= {"note", "letter"}
    waited = row.waited
    answers["stripe"] = False
    jobs.defer("note", "4")
    jobs.drain()
    assert Outage.objects.get(ended_at=None) == row  # it comes and goes
    dependencies.mark_up(["stripe"])
    row.refresh_from_db()
    assert (row.ended_at is None, row.waited) == (False, waited)
    Outage.objects.update(
        began_at=clock.now() - outages.JOINED_WITHIN * 2, ended_at=clock.now() - outages.JOINED_WITHIN
    )
    dependencies.mark_down("stripe", "refused")
    assert Outage.objects.filter(ended_at=None).count() == 1
    assert Outage.objects.count() == 2


def test_one_on_which_nothing_waits_any_more_ends_too() -> None:
    dependencies.mark_down("keycloak", "refused")
    Dependency.objects.update(probe_at=clock.now() - dt.timedelta(seconds=jobs.JOB_SECONDS + 1))
    sweep.sweep()
    assert not Dependency.objects.exists()
    assert Outage.objects.get().ended_at is not None


def test_what_staff_pause_is_no_outage() -> None:
    dependencies.pause(dependencies.RESTORED, "a restored database")
    dependencies.resume(dependencies.RESTORED)
    assert not Outage.objects.exists()


def test_old_ones_are_deleted_and_one_that_goes_on_is_kept(settings: object) -> None:
    then = clock.now() - dt.timedelta(days=400)
    for ended in (then, None):
        Outage.objects.create(peer="stripe", began_at=then, ended_at=ended, reason="refused")
    retention.prune_all()
    assert list(Outage.objects.values_list("ended_at", flat=True)) == [None]


def test_its_page_says_what_waited_and_which_events_came_late(staff: Callable[..., Client]) -> None:
    now = clock.now()
    began, ended = now - dt.timedelta(hours=3), now - dt.timedelta(hours=1)
    row = Outage.objects.create(
        peer="stripe", began_at=began, ended_at=ended, reason="refused", waited={"reconcile": 2, "mirror_customer": 7}
    )
    during = began + dt.timedelta(minutes=5)
    for number, (made, received) in enumerate([(during, now), (during, during), (now, now), (during, ended)]):
        InboundEvent.objects.create(
            stripe_event_id=f"evt_{number}", type="invoice.paid", stripe_created_at=made, received_at=received, body=""
        )
    open_one = Outage.objects.create(peer="keycloak", began_at=began, reason="refused")
    Job.objects.create(kind="reconcile", key="1", lane="1", parked_on="keycloak", not_before=now, created_at=now)
    client = staff("viewer")
    text = client.get(reverse("admin:core_outage_change", args=[row.pk])).content.decode()
    for words in ("7 × ", "2 × Sync access", "2 made at Stripe before", "2 h 0 min"):
        assert words in text
    assert "1 × Sync access" in client.get(reverse("admin:core_outage_change", args=[open_one.pk])).content.decode()
    listed = client.get(reverse("admin:core_outage_changelist"), {"view": "now"})
    assert [one.pk for one in listed.context["cl"].result_list] == [open_one.pk]
    listed = client.get(reverse("admin:core_outage_changelist"), {"peer": "stripe"})
    assert [one.pk for one in listed.context["cl"].result_list] == [row.pk]


# --- the database ------------------------------------------------------------------------------------------------------


class Gone:
    """A database that refuses connections while it is `down`, as the watch asks for one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.down = False
        real = connection.ensure_connection
        monkeypatch.setattr(connection, "close", lambda: None)  # the test's own transaction stays
        monkeypatch.setattr(connection, "ensure_connection", lambda: self.refuse() if self.down else real())

    def refuse(self) -> None:
        raise OperationalError("the server is not there")


def test_an_outage_of_the_database_is_written_down_once_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    gone, watch = Gone(monkeypatch), outages.DatabaseWatch()
    watch.note_failure()  # one statement failed, and the next connection works
    watch.note_success()
    assert not Outage.objects.exists()
    gone.down = True
    began = clock.now()
    for _ in range(3):
        watch.note_failure()
    gone.down = False
    for _ in range(2):
        watch.note_success()
    row = Outage.objects.get()
    assert (row.peer, row.reason, row.waited) == ("postgres", "A worker could make no connection.", {})
    assert began <= row.began_at <= (row.ended_at or began)


def test_what_several_workers_noticed_is_one_outage_and_another_day_is_another() -> None:
    now = clock.now()
    for back in (40, 90, 60):
        outages.note_past("postgres", now - dt.timedelta(seconds=back), "no connection")
    row = Outage.objects.get()
    assert row.began_at == now - dt.timedelta(seconds=90)
    Outage.objects.update(began_at=now - dt.timedelta(days=1), ended_at=now - dt.timedelta(hours=23))
    outages.note_past("postgres", now - dt.timedelta(seconds=5), "no connection")
    assert Outage.objects.count() == 2
