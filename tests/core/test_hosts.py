"""Hosts with workers: told apart even when they have one name, counted for each, and missed when they are gone."""

import os
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from apps.core import alerts, heartbeats, hosts
from apps.core.attention import Cause, open_items
from apps.core.models import Heartbeat
from apps.operations import doctor

pytestmark = pytest.mark.django_db


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """A worker that starts on a machine and gives both signs of life; its name."""

    def start(host: str, machine: str, pid: int | None = None) -> str:
        monkeypatch.setattr(heartbeats.socket, "gethostname", lambda: host)
        monkeypatch.setattr(heartbeats, "machine", lambda: machine)
        monkeypatch.setattr(heartbeats.os, "getpid", lambda: pid or os.getppid())
        heartbeats.claim_name()
        for part in ("worker", "cluster"):
            heartbeats.record_heartbeat(part)
        return os.environ[heartbeats.WORKER]

    monkeypatch.setenv(heartbeats.WORKER, "")
    monkeypatch.setattr(connection, "close", lambda: None)
    options = connection.settings_dict["OPTIONS"]
    monkeypatch.setitem(options, "application_name", options.get("application_name", ""))
    return start


def age(worker: str, *, at: float, since: float) -> None:
    """When the worker was heard last, and first, in seconds ago."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE core_heartbeat SET at = clock_timestamp() - make_interval(secs => %s),"
            " since = clock_timestamp() - make_interval(secs => %s) WHERE name LIKE %s",
            [at, since, f"%@{worker}"],
        )


def names() -> set[str]:
    return {name.partition("@")[2] for name in Heartbeat.objects.values_list("name", flat=True)}


def items(cause: Cause) -> dict[str, str]:
    return dict(open_items().filter(cause=cause).values_list("key", "sentence"))


def test_two_machines_of_one_name_and_process_number_forget_nothing_of_each_other(start: Callable[..., str]) -> None:
    """Containers with one `hostname`, in each of which the worker is process 7."""
    first, second = start("web", "aaaaaa"), start("web", "bbbbbb")
    assert names() == {first, second}
    assert heartbeats.count_alive() == 2
    heartbeats.forget_gone()
    assert names() == {first, second}


def test_they_are_an_attention_item_until_each_has_its_own(start: Callable[..., str]) -> None:
    first, second = start("web", "aaaaaa"), start("web", "bbbbbb")
    hosts.check()
    assert items(Cause.HOST_NAME) == {}  # it may be one machine that has just started again
    age(first, at=1, since=900)
    age(second, at=2, since=90)
    hosts.check()
    assert "called web." in items(Cause.HOST_NAME)["web"]
    assert [one.severity.value for one in doctor.check_frontdesk() if one.id == "workers.names"] == ["warning"]
    Heartbeat.objects.filter(name__contains=second).delete()
    start("mail", "bbbbbb")
    hosts.check()
    assert items(Cause.HOST_NAME) == {}


def test_a_machine_that_starts_again_is_not_its_own_namesake(start: Callable[..., str]) -> None:
    """A container keeps its name, and is another machine after each start; it was killed and could not take leave."""
    first = start("web", "aaaaaa")
    age(first, at=16, since=900)
    second = start("web", "bbbbbb")
    assert names() == {second}
    age(second, at=1, since=120)
    assert heartbeats.list_namesakes() == []


def test_one_killed_a_moment_before_is_forgotten_by_a_later_look(start: Callable[..., str]) -> None:
    first, second = start("web", "aaaaaa"), start("web", "bbbbbb")
    age(first, at=20, since=900)
    heartbeats.forget_gone()
    assert names() == {second}


def test_a_namesake_that_was_silent_for_a_moment_is_not_forgotten(start: Callable[..., str]) -> None:
    """The database was away for 20 s; forgotten, the other's cluster would count as one that never gave a sign of life."""
    first, second = start("web", "aaaaaa"), start("web", "bbbbbb")
    age(first, at=20, since=900)
    age(second, at=20, since=600)
    heartbeats.forget_gone()
    assert names() == {first, second}
    third = start("web", "cccccc")
    assert names() == {third}


def test_what_ended_on_this_machine_is_forgotten_at_once_and_others_are_not(start: Callable[..., str]) -> None:
    gone = start("web", "aaaaaa", 2**22 + 1)  # no process has this number
    other = start("mail", "cccccc", 2**22 + 1)
    mine = start("web", "aaaaaa")
    assert names() == {mine, other}
    assert gone not in names()


def test_hosts_are_counted_each_for_itself(start: Callable[..., str]) -> None:
    start("web", "aaaaaa", os.getpid())
    start("web", "aaaaaa", os.getppid())
    late = start("mail", "bbbbbb")
    age(late, at=300, since=900)
    Heartbeat.objects.filter(name__startswith="cluster@web").first().delete()  # type: ignore[union-attr]
    found: dict[str, Any] = {one.name: one for one in heartbeats.list_hosts()}
    assert {name: one.alive for name, one in found.items()} == {"web": 1, "mail": 0}
    assert found["web"].silent_seconds < 60
    assert 299 < found["mail"].silent_seconds < 360


def test_a_host_that_is_gone_is_an_item_and_no_alert_for_each_of_its_workers(
    start: Callable[..., str], settings: Any
) -> None:
    settings.HOST_GONE_MINUTES = 5
    gone, quiet = start("web", "aaaaaa", 7), start("mail", "bbbbbb", 8)
    start("mail", "bbbbbb", os.getppid())
    age(gone, at=240, since=900)
    hosts.check()
    assert items(Cause.HOST_GONE) == {}
    age(gone, at=301, since=900)
    age(quiet, at=400, since=900)
    hosts.check()
    assert list(items(Cause.HOST_GONE)) == ["web"]
    assert [one.title for one in alerts._silent_workers()] == [f"Worker {quiet} is silent"]
    age(gone, at=1, since=900)
    hosts.check()
    assert items(Cause.HOST_GONE) == {}
