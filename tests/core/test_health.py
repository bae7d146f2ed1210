"""`/health/` says which part fails; `/health/live` says only that the process answers."""

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from apps.core import health, heartbeats

WELL = {"database": "ok", "migrations": "ok", "worker": "ok"}


@pytest.fixture(autouse=True)
def nothing_remembered():
    """Each test asks anew, as a process that has just started."""
    health._parts.cache_clear()
    health._schema_is_current.clear()
    yield
    health._parts.cache_clear()
    health._schema_is_current.clear()


@pytest.fixture
def worker(db):
    """A worker whose watchdog and cluster have just given a sign of life."""
    for name in ("worker", "cluster"):
        heartbeats.record_heartbeat(name)


def ask(client):
    answer = client.get("/health/")
    return answer.status_code, answer.json()["parts"]


def age(name, seconds):
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE core_heartbeat SET at = clock_timestamp() - make_interval(secs => %s) WHERE name = %s",
            [seconds, name],
        )


def test_all_is_well(client, worker):
    assert ask(client) == (200, WELL)
    assert client.get("/health/").json()["status"] == "ok"


def test_no_worker_has_ever_lived(client, db):
    assert ask(client) == (503, WELL | {"worker": "failing"})
    assert client.get("/health/").json()["status"] == "failing"


@pytest.mark.parametrize("silent", ["worker", "cluster"])
def test_a_worker_is_ill_when_its_watchdog_or_its_cluster_is_silent(client, worker, silent):
    age(silent, heartbeats.ALIVE_SECONDS + 5)
    assert ask(client) == (503, WELL | {"worker": "failing"})


def test_a_beat_of_a_moment_ago_is_a_sign_of_life(client, worker):
    age("cluster", heartbeats.ALIVE_SECONDS - 20)
    assert ask(client) == (200, WELL)


def test_a_migration_that_was_not_applied_makes_it_ill(client, worker):
    MigrationRecorder.Migration.objects.filter(app="core").order_by("-id")[:1].get().delete()
    assert ask(client) == (503, WELL | {"migrations": "failing"})


def test_the_schema_is_looked_at_until_it_was_schema_is_current(client, worker, django_assert_max_num_queries):
    assert ask(client) == (200, WELL)
    health._parts.cache_clear()
    with django_assert_max_num_queries(2):
        assert ask(client) == (200, WELL)


def test_many_questions_within_a_second_ask_the_database_once(client, worker, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr(health.time, "monotonic", lambda: 1000.2)
    ask(client)
    with django_assert_num_queries(0):
        assert ask(client) == (200, WELL)


def test_a_database_that_is_away_is_an_answer_and_no_error(client, transactional_db, monkeypatch):
    connection.close()
    with monkeypatch.context() as away:
        away.setitem(connection.settings_dict, "HOST", "/nonexistent")
        assert ask(client) == (503, dict.fromkeys(WELL, "failing"))


def test_it_tells_nothing_else(client, worker):
    assert set(client.get("/health/").json()) == {"status", "parts"}
    assert client.post("/health/").status_code == 405


def test_live_asks_no_database(client):
    """Without the fixture `db` a query would be refused."""
    answer = client.get("/health/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["Cache-Control"] == "no-store"
    assert client.cookies == {}
