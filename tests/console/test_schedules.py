"""Schedules and workers: each with its last run, its result and what it does now, and a warning when one is late."""

import datetime as dt
import html
import re
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.core import clock, heartbeats, jobs
from apps.core.job_outcomes import PERIODIC
from apps.core.locks import LockClass, lock_key
from apps.core.models import Dependency, Job, Schedule
from tests.console.conftest import World

pytestmark = pytest.mark.django_db

Staff = Callable[..., Client]
WORKER = "front-desk-worker-with-a-long-name.example.com-and-a-pod-of-its-own-7f9c:4711"


@pytest.fixture
def working(world: World) -> World:
    """Two workers live, and every schedule has just ended well."""
    now = clock.now()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM core_heartbeat")
        for part in ("worker", "cluster"):
            for name in (WORKER, "other:1"):
                cursor.execute("INSERT INTO core_heartbeat VALUES (%s, clock_timestamp())", [f"{part}@{name}"])
    Job.objects.all().delete()
    periodic = [kind for kind in jobs.KINDS.values() if kind.every]
    Job.objects.bulk_create(
        Job(kind=kind.name, key=PERIODIC, state="done", not_before=now, created_at=now, finished_at=now, lane=kind.name)
        for kind in periodic
    )
    Schedule.objects.all().delete()
    Schedule.objects.bulk_create(
        Schedule(kind=kind.name, next_at=now + dt.timedelta(seconds=kind.every)) for kind in periodic
    )
    return world


def shown(client: Client) -> str:
    text = html.unescape(client.get(reverse("admin:schedules")).content.decode())
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text.partition('id="content-main"')[2].partition("<footer")[0]))


def test_all_is_well_and_says_when_each_ran_and_is_due(working: World, staff: Staff) -> None:
    text = shown(staff("viewer"))
    for kind in jobs.KINDS.values():
        assert not kind.every or kind.label in text, kind.name
    assert text.count("Alive") == 2
    assert "late" not in text.lower()
    assert "No worker" not in text


def test_what_is_late_failed_or_waits_is_told_first(working: World, staff: Staff) -> None:
    hour = dt.timedelta(hours=1)
    ago = clock.now() - 30 * hour
    Job.objects.filter(kind="sweep_access").update(finished_at=ago)
    Schedule.objects.filter(kind="prune").update(next_at=ago)
    Job.objects.filter(kind="check_laws").update(state="dead", last_error="A law cannot be read.")
    Dependency.objects.create(name="stripe", down_since=ago, probe_at=ago, reason="No answer.")
    Job.objects.filter(kind="backfill_events").update(finished_at=ago)
    text = shown(staff("viewer"))
    assert f"“{jobs.kind_label('sweep_access')}” has not ended well since" in text
    assert f"“{jobs.kind_label('backfill_events')}” has not" not in text
    assert "Waits for Stripe" in text
    assert "A law cannot be read." in text
    assert "schedules are late" in text or "schedule is late" in text
    with connection.cursor() as cursor:
        cursor.execute("UPDATE core_heartbeat SET at = at - interval '5 minutes' WHERE name LIKE 'cluster@other%'")
    assert "Silent" in shown(staff("viewer"))
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM core_heartbeat WHERE name LIKE 'cluster%'")
    assert "No worker is alive." in shown(staff("viewer"))


def test_a_running_job_is_shown_at_the_worker_whose_connection_holds_its_lock(working: World, staff: Staff) -> None:
    now, person = clock.now(), working.profiles[1]
    mine, lost = (
        Job.objects.create(
            kind="reconcile",
            key=str(one.pk),
            lane=f"profile:{one.pk}",
            state="running",
            not_before=now,
            created_at=now,
            started_at=now,
        )
        for one in working.profiles[1:]
    )
    told = {**connection.get_connection_params(), "application_name": heartbeats.application_name(WORKER)}
    wanted = {
        key: told[key] for key in ("dbname", "user", "password", "host", "port", "application_name") if told.get(key)
    }
    with psycopg.connect(**wanted, autocommit=True) as worker:
        worker.execute("SELECT pg_advisory_lock(%s, %s)", [int(LockClass.JOB_RUN), lock_key(mine.pk)])
        answer: Any = staff("support").get(reverse("admin:schedules"))
    found = {one["worker"].name: [run["job"].pk for run in one["runs"]] for one in answer.context["workers"]}
    assert found == {WORKER: [mine.pk], "other:1": []}
    assert [run["job"].pk for run in answer.context["others"]] == [lost.pk]
    assert f">{person.user.username}</a>" in answer.content.decode()


def test_it_costs_five_queries(working: World, staff: Staff) -> None:
    client = staff("viewer")
    shown(client)
    with CaptureQueriesContext(connection) as queries:
        shown(client)
    assert len(queries) <= 5
