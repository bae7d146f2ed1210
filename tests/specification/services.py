"""Tech Stack, Running Without Docker, Management Commands and Docker Services."""

import importlib.metadata
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import django
import pytest
import requests
import yaml
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client

from apps.sandbox.run.servers import free_port
from config import testing

ROOT = Path(__file__).resolve().parents[2]


def compose() -> dict[str, Any]:
    """The services of compose.yml."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yml").read_text())["services"]
    return found


def version(package: str) -> tuple[int, ...]:
    """The installed release of a package, its first two numbers."""
    return tuple(int(number) for number in importlib.metadata.version(package).split(".")[:2])


# --- tech stack: the design card replaces mozilla-django-oidc, Celery + Redis, Gunicorn and hand-written mail -------------


def test_stack_framework_django_5_2_python_3_13() -> None:
    assert django.VERSION[:2] == (5, 2)
    assert sys.version_info[:2] == (3, 13)


def test_stack_database_postgresql_18(db: None) -> None:
    assert connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        assert cursor.fetchone()[0].startswith("18.")


def test_stack_auth_django_allauth_and_keycloak(settings: Any) -> None:
    assert version("django-allauth") >= (65, 19)
    assert settings.SOCIALACCOUNT_ONLY is True
    (provider,) = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"]
    assert provider["settings"]["server_url"].endswith("/realms/frontdesk/.well-known/openid-configuration")
    assert version("python-keycloak") == (7, 1)


def test_stack_payments_stripe_sdk() -> None:
    assert (15, 6) <= version("stripe") < (16, 0)
    assert version("dj-stripe") == (2, 11)


def test_stack_task_queue_django_q2_on_postgres(settings: Any) -> None:
    assert version("django-q2") == (1, 11)
    assert settings.Q_CLUSTER["orm"] == "default"  # the queue is the database: nothing else to run


def test_stack_monitoring_django_prometheus(settings: Any) -> None:
    assert version("django-prometheus") == (2, 5)
    assert settings.MIDDLEWARE[0].startswith("django_prometheus.")


def test_stack_static_files_whitenoise(client: Client, settings: Any) -> None:
    assert "whitenoise.middleware.WhiteNoiseMiddleware" in settings.MIDDLEWARE
    assert version("whitenoise") >= (6, 12)


def test_stack_wsgi_server_granian() -> None:
    assert version("granian") >= (2, 7)
    assert "exec python -m config.serve --interface wsgi" in (ROOT / "Dockerfile").read_text()


def test_stack_email_mailgun_api(settings: Any) -> None:
    from config.settings import EMAIL_BACKEND

    assert EMAIL_BACKEND == "apps.notifications.mailgun.DirectBackend"
    assert settings.ANYMAIL["MAILGUN_SENDER_DOMAIN"] == settings.MAILGUN_DOMAIN


# --- commands ----------------------------------------------------------------------------------------------------------


def test_command_migrate(db: None) -> None:
    call_command("migrate", check_unapplied=True, verbosity=0)  # ends with an error if anything were left


def test_command_makemigrations(db: None) -> None:
    call_command("makemigrations", check_changes=True, dry_run=True, verbosity=0)  # the models say nothing new


def test_command_createsuperuser(db: None, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """It makes a user that nobody can log in as: staff come from Keycloak, and there are no passwords here."""
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "correct horse battery")
    call_command("createsuperuser", interactive=False, username="root", email="root@example.com", verbosity=0)
    assert User.objects.get().is_superuser
    assert client.login(username="root", password="correct horse battery") is False
    answer = client.post("/admin/login/", {"username": "root", "password": "correct horse battery"})
    assert answer.status_code in {302, 405}
    assert "_auth_user_id" not in client.session


def test_command_shell(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    call_command(
        "shell", command="from apps.catalog.models import Product; print(Product.objects.count())", no_imports=True
    )
    assert capsys.readouterr().out == "0\n"


def test_command_test(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(testing.os, "execv", lambda _program, words: ran.append(words))
    for labels in ([], ["dashboard"], ["onboarding"], ["tests/core/test_clock.py", "-q"]):
        testing.run(labels)
    assert [words[1:] for words in ran] == [
        ["-m", "pytest"],
        ["-m", "pytest", "tests/dashboard"],
        ["-m", "pytest", "tests/storefront"],
        ["-m", "pytest", "tests/core/test_clock.py", "-q"],
    ]


def test_command_runserver(db: None) -> None:
    port = free_port()
    command = [sys.executable, "manage.py", "runserver", f"127.0.0.1:{port}", "--noreload", "--skip-checks"]
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings"}
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, cwd=ROOT, env=environment, **quiet)  # type: ignore[call-overload]
    try:
        for _ in range(300):
            try:
                assert requests.get(f"http://127.0.0.1:{port}/health/live", timeout=5).status_code == 200
                break
            except requests.ConnectionError:
                assert server.poll() is None, "it did not start"
                time.sleep(0.1)
        else:
            raise AssertionError("it did not start in time")
    finally:
        server.terminate()
        server.wait(10)


# --- services: built and run by .ci/image; here what compose.yml says of them -----------------------------------------


def test_service_skylantix_dash_is_web() -> None:
    web = compose()["web"]
    assert (web["build"], web["image"]) == (".", "frontdesk")
    assert compose()["proxy"]["ports"] == ["${TAILSCALE_IP:-127.0.0.1}:8000:8000"]  # before it
    assert "command" not in web  # the image's own: granian with several processes
    assert "--workers 2" in (ROOT / "Dockerfile").read_text()


def test_service_celery_worker_is_worker() -> None:
    worker, web = compose()["worker"], compose()["web"]
    assert worker["command"] == ["python", "manage.py", "worker"]
    assert worker["image"] == web["image"]  # the same image


def test_service_postgres() -> None:
    postgres = compose()["postgres"]
    assert postgres["image"].startswith("postgres:18-alpine")
    assert postgres["networks"] == ["inner"]
    assert "ports" not in postgres


def test_service_redis_is_not_needed(settings: Any) -> None:
    assert "redis" not in compose()
    assert not any("redis" in name for name in settings.INSTALLED_APPS)
    assert settings.CACHES["default"]["BACKEND"].endswith("db.DatabaseCache")


def test_service_keycloak_with_our_realm() -> None:
    keycloak = compose()["keycloak-demo"]
    assert keycloak["image"].startswith("quay.io/keycloak/keycloak:26.7.3")
    assert "./apps/sandbox/run/keycloak/realm.json:/opt/keycloak/data/import/realm.json:ro" in keycloak["volumes"]
    assert (ROOT / "apps/sandbox/run/keycloak/realm.json").exists()


def test_service_sandbox_is_a_profile() -> None:
    assert compose()["sandbox"]["profiles"] == ["sandbox"]
