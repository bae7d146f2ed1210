"""What operators met when they put such a system behind a balancer, a proxy and a managed database."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
import requests
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test import Client

from apps.core import checks, health
from apps.sandbox.run.servers import free_port
from config.environment import database_url
from tests.world import ROOT

METRICS = {"Authorization": "Bearer test-metrics-key"}
PROBES = ["/health/", "/health", "/health/live", "/health/live/", "/metrics", "/metrics/"]
HOSTS = [
    "10.0.3.7:8000",
    "172.17.0.2",
    "[fd00::7]:8000",
    "web:8000",
    "frontdesk_web",
    "kube-probe.internal.",
    "%%bad host%%",
]


@pytest.fixture
def production(settings: Any) -> Any:
    """As `.env.example` has it: one public name, https, one proxy."""
    settings.ALLOWED_HOSTS = ["frontdesk.example.com"]
    settings.SECURE_SSL_REDIRECT = True
    settings.TRUSTED_PROXY_COUNT = 1
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    health._parts.cache_clear()
    yield settings
    health._parts.cache_clear()


@pytest.mark.parametrize("path", PROBES)
@pytest.mark.parametrize("host", HOSTS)
def test_a_probe_by_any_address_is_answered(path: str, host: str, production: Any, db: None) -> None:
    """ecosystem B3, as awesto/django-shop and many a "Invalid HTTP_HOST header" of container probes."""
    answer = Client().get(path, headers={"Host": host} | METRICS)
    expected = 503 if path.startswith("/health") and "live" not in path else 200  # no worker runs here
    assert answer.status_code == expected
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "path", ["/", "/onboarding/", "/dashboard/", "/admin/", "/health/else", "/metrics/x", "/healthy", "//health"]
)
def test_no_other_page_is_opened_by_an_address(path: str, production: Any, db: None) -> None:
    answer = Client().get(path, headers={"Host": "10.0.3.7:8000", "X-Forwarded-Proto": "https"})
    assert answer.status_code == 400


def test_metrics_by_address_still_need_their_token(production: Any) -> None:
    assert Client().get("/metrics", headers={"Host": "10.0.3.7"}).status_code == 401
    assert Client().post("/health/live", headers={"Host": "10.0.3.7"}).status_code == 405


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("?sslmode=require", {"sslmode": "require"}),
        (
            "?sslmode=verify-full&sslrootcert=/etc/ssl/db%2Fca.pem",
            {"sslmode": "verify-full", "sslrootcert": "/etc/ssl/db/ca.pem"},
        ),
        ("?connect_timeout=20&application_name=desk", {"connect_timeout": 20, "application_name": "desk"}),
        ("?options=-c%20statement_timeout%3D5000", {"options": "-c statement_timeout=5000"}),
        ("?target_session_attrs=read-write", {"target_session_attrs": "read-write"}),
        ("", {}),
    ],
)
def test_the_options_of_a_database_url_are_kept(query: str, options: dict[str, Any]) -> None:
    """ecosystem B7: `?sslmode=require` was dropped, and the connection was plain text."""
    found = database_url("DATABASE_URL", f"postgresql://dora:p%40ss%2F@db.example.com:5433/desk{query}")
    assert found["OPTIONS"] == options
    assert (found["NAME"], found["PASSWORD"], found["PORT"]) == ("desk", "p@ss/", "5433")


@pytest.mark.parametrize("url", ["postgres://u@%2Fvar%2Frun%2Fpostgresql/desk", "pgsql://u@[fd00::7]:5432/desk"])
def test_other_forms_of_a_postgres_url_are_read(url: str) -> None:
    assert database_url("DATABASE_URL", url)["HOST"] in {"/var/run/postgresql", "fd00::7"}


@pytest.mark.parametrize(
    "url", ["mysql://u:secret@h/desk", "sqlite:///desk", "postgresql://u:se#cret@h/desk", "postgresql://u:secret@h:port/desk",
            "postgresql://u:secret@h/", "desk", "http://u:secret@h/desk"],
)  # fmt: skip
def test_a_database_url_that_cannot_be_right_stops_the_start_without_its_password(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^DATABASE_URL ") as caught:
        database_url("DATABASE_URL", url)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_server_without_tls_is_refused_where_tls_is_asked_for(db: None) -> None:
    options = {"OPTIONS": connection.settings_dict["OPTIONS"] | {"sslmode": "require"}}
    other = connection.copy("tls")
    other.settings_dict = connection.settings_dict | options | {"HOST": "127.0.0.1", "PORT": "1"}
    assert other.get_connection_params()["sslmode"] == "require"


def test_the_cache_table_comes_with_the_migrations(db: None) -> None:
    """ecosystem B8: `migrate` alone left the command palette with an error 500."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'cache'")
        assert {name for (name,) in cursor.fetchall()} == {"cache_pkey", "cache_expires"}
    assert "createcachetable" not in (ROOT / "compose.yml").read_text()


@pytest.mark.parametrize(
    ("proxies", "redirects", "found"), [(0, True, ["frontdesk.E008"]), (1, True, []), (0, False, [])]
)
def test_the_redirect_loop_is_found_by_check_deploy(
    proxies: int, redirects: bool, found: list[str], settings: Any
) -> None:
    """ecosystem B11: https in BASE_URL and no trusted proxy was an endless redirect, and the check said "no issues"."""
    settings.HTTPS, settings.TRUSTED_PROXY_COUNT, settings.SECURE_SSL_REDIRECT = True, proxies, redirects
    assert [message.id for message in checks.site_is_reachable()] == found


@pytest.mark.parametrize(
    "name", ["OIDC_RP_CLIENT_SECRET", "KEYCLOAK_ADMIN_CLIENT_SECRET", "KEYCLOAK_DOCTOR_CLIENT_SECRET"]
)
def test_a_published_secret_is_found_by_check_deploy(name: str, settings: Any) -> None:
    settings.HTTPS, settings.SECURE_SSL_REDIRECT = True, False
    setattr(settings, name, "dev-only-web-secret")
    (message,) = checks.site_is_reachable()
    assert (message.id, message.msg.split()[0]) == ("frontdesk.E009", name)


@pytest.fixture
def web() -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The web server as the image starts it, with one process."""
    port = free_port()
    words = f"-m config.serve --interface wsgi --host 127.0.0.1 --port {port} --workers 1 --respawn-failed-workers"
    server = subprocess.Popen(
        [sys.executable, *words.split(), "config.wsgi:application"], cwd=ROOT, start_new_session=True,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings", "LOG_LEVEL": "CRITICAL"},
    )  # fmt: skip
    yield server, f"http://127.0.0.1:{port}/health/live"
    server.terminate()
    server.wait(20)


def _until_it_answers(server: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert server.poll() is None, "the web server ended"
        try:
            if requests.get(url, timeout=2).status_code == 200:
                return
        except requests.ConnectionError:
            time.sleep(0.05)
    raise AssertionError("it did not answer in time")


@pytest.mark.xdist_group("workers")
@pytest.mark.fault("F56")
def test_the_web_server_survives_quick_kills(web: tuple[subprocess.Popen[bytes], str]) -> None:
    """reliability B9: killed twice within seconds, the only worker took the whole server with it."""
    server, url = web
    for _ in range(3):
        _until_it_answers(server, url)
        for worker in psutil.Process(server.pid).children():
            if "granian" in " ".join(worker.cmdline()) or "spawn_main" in " ".join(worker.cmdline()):
                worker.send_signal(signal.SIGKILL)
    _until_it_answers(server, url)


@pytest.mark.xdist_group("workers")
def test_a_web_process_shares_the_memory_of_the_one_that_forks_it(web: tuple[subprocess.Popen[bytes], str]) -> None:
    """Each had loaded the application for itself."""
    _until_it_answers(*web)
    (worker,) = psutil.Process(web[0].pid).children()
    assert worker.memory_full_info().uss < worker.memory_info().rss / 2
