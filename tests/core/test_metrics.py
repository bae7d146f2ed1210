"""`/metrics`: only for the right token, the gauges from the database, the counters of all web processes together."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from django.db import connection

from apps.core import clock, heartbeats, metrics
from apps.core.models import Dependency, Job
from apps.sandbox.run.servers import free_port

TOKEN = {"Authorization": "Bearer test-metrics-key"}
ROOT = Path(__file__).resolve().parents[2]


def values(text: str) -> dict[str, float]:
    """Every sample of an exposition by its name with labels."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "bearer test-metrics-key",
        "Basic test-metrics-key",
        "test-metrics-key",
        "Bearer test-metrics-key ",
        "Bearer test-metrics-ke",
        "Bearer tëst-metrics-key",
    ],
)
def test_without_the_right_token_it_says_nothing(client, given):
    """No fixture `db`: a stranger costs no query."""
    answer = client.get("/metrics", headers={} if given is None else {"Authorization": given})
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert b"frontdesk" not in answer.content


def test_with_no_key_configured_there_is_no_such_page(client, settings):
    settings.PROMETHEUS_METRICS_API_KEY = ""
    assert client.get("/metrics").status_code == 404
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404


def test_it_is_not_asked_more_often_than_a_scraper_would(client, db, settings, monkeypatch):
    settings.LIMITS = settings.LIMITS | {"scrapes_visitor": ((2, 60),)}
    monkeypatch.setattr(metrics.limits.time, "time", lambda: 1000)
    assert [client.get("/metrics", headers=TOKEN).status_code for _ in range(3)] == [200, 200, 429]


def test_only_reading_is_allowed(client):
    assert client.post("/metrics", headers=TOKEN).status_code == 405


def test_the_gauges_tell_jobs_waits_and_systems_that_are_down(client, db):
    now = clock.now()
    Job.objects.create(kind="reconcile", key="1", lane="a", state="dead", not_before=now, created_at=now)
    Job.objects.create(kind="reconcile", key="2", lane="b", state="dead", not_before=now, created_at=now)
    Job.objects.create(kind="reconcile", key="3", lane="c", state="done", not_before=now, created_at=now)
    Dependency.objects.create(name="stripe", down_since=now, probe_at=now, reason="503")
    heartbeats.record_heartbeat("worker")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO core_job (kind, key, lane, state, reason, attempts, runs, not_before, parked_on, created_at, last_error,"
            " history) VALUES ('mail', '1', 'd', 'queued', '', 0, 0, now() - interval '90 seconds', '', now(), '', '[]')"
        )
    answer = client.get("/metrics", headers=TOKEN)
    found = values(answer.text)
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert found['frontdesk_jobs{kind="reconcile",state="dead"}'] == 2
    assert found['frontdesk_jobs{kind="mail",state="queued"}'] == 1
    assert 'frontdesk_jobs{kind="reconcile",state="done"}' not in found
    assert 90 <= found["frontdesk_job_oldest_due_seconds"] < 150
    assert found['frontdesk_dependency_down{dependency="stripe"}'] == 1


def test_the_names_of_all_gauges_and_their_labels_are_unique_and_bounded():
    names = [name for name, *_ in metrics.GAUGES]
    assert len(names) == len(set(names))
    assert all(name.startswith("frontdesk_") for name in names)
    labels = {label for _, _, given, _ in metrics.GAUGES for label in given}
    assert not labels & {"id", "profile", "user", "email", "customer", "key"}


def test_every_gauge_has_its_line_even_when_nothing_has_happened(client, db):
    text = client.get("/metrics", headers=TOKEN).text
    for name, help_text, _, _ in metrics.GAUGES:
        assert f"# HELP {name} {help_text}\n# TYPE {name} gauge\n" in text
    assert values(text)["frontdesk_job_oldest_due_seconds"] == 0


@pytest.fixture
def web(transactional_db: None, tmp_path: Path) -> Iterator[str]:
    """Two web processes behind one address, as production starts them, on the test's database."""
    port = free_port()
    environment = os.environ | {
        "POSTGRES_DB": connection.settings_dict["NAME"],
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "shared"),
    }
    (tmp_path / "shared").mkdir()
    # As the Dockerfile does; granian waits for ever for a worker that does not stop, unless told how long.
    options = (
        f"--interface wsgi --host 127.0.0.1 --port {port} --workers 2 --blocking-threads 1 --workers-kill-timeout 5"
    )
    command = [
        sys.executable,
        "-m",
        "config.serve",
        *options.split(),
        "--log-level",
        "warning",
        "config.wsgi:application",
    ]
    environment["DJANGO_SETTINGS_MODULE"] = "config.settings"
    server = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(60)


def wait_until_up(url: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if requests.get(f"{url}/health/live", timeout=2).status_code == 200:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.1)
    raise AssertionError("the web processes did not start")


def test_counters_are_summed_over_the_web_processes(web: str, tmp_path: Path) -> None:
    wait_until_up(web)
    name = 'django_http_responses_total_by_status_total{status="404"}'
    shared, asked = tmp_path / "shared", 0
    deadline = time.monotonic() + 120
    # A new connection each, until both processes have answered: each keeps files of its own, as does their parent.
    while time.monotonic() < deadline:
        assert requests.get(f"{web}/nowhere", timeout=10).status_code == 404
        asked += 1
        if asked >= 20 and len({path.stem.rpartition("_")[2] for path in shared.glob("counter_*.db")}) == 3:
            break
    else:
        raise AssertionError("only one process ever answered")
    for _ in range(5):  # whichever process answers
        found = values(requests.get(f"{web}/metrics", headers=TOKEN, timeout=10).text)
        assert found[name] == asked
        assert found["frontdesk_job_oldest_due_seconds"] == 0
