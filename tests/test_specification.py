"""The specification, row by row. ROWS lists every row of its tables; each has a test named after it, which goes through HTTP
or the worker and looks at Postgres, at the stand-ins of Stripe and Keycloak, and at the inbox. The tests are written in
tests/specification/, a file for each chapter; a row without a test, or a test without a row, fails the last test here.
"""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.exceptions import ImproperlyConfigured

pytest.register_assert_rewrite("tests.specification")

from tests.specification.events import *  # noqa: E402, F403
from tests.specification.flows import *  # noqa: E402, F403
from tests.specification.models import *  # noqa: E402, F403
from tests.specification.recovery import *  # noqa: E402, F403
from tests.specification.routes import *  # noqa: E402, F403
from tests.specification.services import *  # noqa: E402, F403
from tests.storefront.conftest import no_limits, shop  # noqa: E402

__all__ = ["no_limits", "shop"]

ROOT = Path(__file__).resolve().parents[1]
# Chapter: its rows as the specification writes them. Where the design card replaces one, the row says by what.
ROWS = {
    "flow": ["New User Onboarding", "Existing User Dashboard", "Account Recovery"],
    "model": ["Product", "ProductPrice", "Instance", "UserProfile", "UserSubscriptionItem"],
    "data_flow": [
        "Stripe Webhooks to Django to profile and items",
        "to Keycloak: attributes, groups and password resets",
        "to Instances with capacity-aware allocation",
    ],
    "allocation": [
        "uses SELECT FOR UPDATE row locking",
        "assigns to the instance with the lowest allocated_seats",
        "respects soft_cap, allocation_cap and hard_cap",
        "syncs Django groups to Keycloak groups",
    ],
    "event": [
        "checkout.session.completed",
        "customer.subscription.updated",
        "customer.subscription.deleted",
        "invoice.payment_failed",
    ],
    "page": [
        "root", "/dashboard/", "/onboarding/", "/onboarding/plan/", "/onboarding/addons/", "/onboarding/checkout/",
        "/onboarding/success/", "/onboarding/cancel/", "/onboarding/waitlist/", "/recovery/",
    ],
    "api": [
        "POST /onboarding/checkout/validate/", "POST /onboarding/checkout/session/",
        "POST /onboarding/checkout/send-code/", "POST /onboarding/checkout/verify-code/",
        "POST /onboarding/success/resend-password/", "POST /onboarding/waitlist/submit/",
        "POST /onboarding/webhook/", "POST /dashboard/reset-password/", "POST /recovery/send-code/",
        "POST /recovery/verify-code/", "POST /recovery/checkout-session/",
    ],
    "monitoring": ["GET /health/", "GET /metrics"],
    "task": [
        "send_keycloak_password_reset_email",
        "sync_user_post_checkout",
        "notify_subscription_canceled",
        "notify_payment_failed",
    ],
    "tasks": ["are retried three times after 30 s, doubling"],
    "stack": [
        "Framework: Django 5.2, Python 3.13", "Database: PostgreSQL 18", "Auth: django-allauth and Keycloak",
        "Payments: Stripe SDK", "Task Queue: django-q2 on Postgres", "Monitoring: django-prometheus",
        "Static Files: WhiteNoise", "WSGI Server: granian", "Email: Mailgun API",
    ],
    "command": ["migrate", "makemigrations", "createsuperuser", "shell", "test", "runserver"],
    "service": [
        "skylantix_dash is web", "celery_worker is worker", "postgres", "redis is not needed",
        "keycloak with our realm", "sandbox is a profile",
    ],
}  # fmt: skip
REQUIRED = [
    "DJANGO_SECRET_KEY", "POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_HOST", "KEYCLOAK_SERVER_URL",
    "KEYCLOAK_REALM", "OIDC_RP_CLIENT_ID", "OIDC_RP_CLIENT_SECRET", "KEYCLOAK_ADMIN_CLIENT_ID",
    "KEYCLOAK_ADMIN_CLIENT_SECRET", "STRIPE_SECRET_KEY", "STRIPE_PUBLISHABLE_KEY", "STRIPE_WEBHOOK_SECRET",
    "MAILGUN_API_KEY", "PROMETHEUS_METRICS_API_KEY",
]  # fmt: skip
OPTIONAL = {  # variable: the setting it becomes, and that setting when the variable is not there
    "DEBUG": ("DEBUG", False),
    "MAILGUN_DOMAIN": ("MAILGUN_DOMAIN", "example.com"),
    "MAILGUN_WAITLIST_ADDRESS": ("MAILGUN_WAITLIST_ADDRESS", ""),
}


def settings_without(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """config/settings.py, read anew in an environment that lacks `name`."""
    for variable in ("DATABASE_URL", f"{name}_FILE", name):
        monkeypatch.delenv(variable, raising=False)
    return runpy.run_path(str(ROOT / "config/settings.py"))


@pytest.mark.parametrize("name", REQUIRED)
def test_variable_required(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImproperlyConfigured, match=rf"^{name} is not set\. [^.]+\([^)]+\)\.$"):
        settings_without(name, monkeypatch)


@pytest.mark.parametrize("name", OPTIONAL)
def test_variable_optional(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    setting, default = OPTIONAL[name]
    assert settings_without(name, monkeypatch)[setting] == default


@pytest.mark.parametrize("name", ["TAILSCALE_IP"])
def test_variable_of_compose(name: str) -> None:
    services = yaml.safe_load((ROOT / "compose.yml").read_text())["services"]
    for ours in ("proxy", "sandbox"):
        assert all(port.startswith(f"${{{name}:-127.0.0.1}}:") for port in services[ours]["ports"])


@pytest.mark.parametrize("name", ["CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"])
def test_variable_replaced_by_the_database(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """django-q2's broker and results are tables of Postgres: the variable changes nothing, and no Redis is asked."""
    monkeypatch.setenv(name, "redis://redis:6379/0")
    monkeypatch.delenv("DATABASE_URL", raising=False)
    found = runpy.run_path(str(ROOT / "config/settings.py"))
    assert found["Q_CLUSTER"]["orm"] == "default"
    assert "redis" not in repr({key: value for key, value in found.items() if key.isupper()}).lower()


def test_every_row_has_its_test_and_every_test_its_row() -> None:
    written = {name for name in globals() if name.startswith("test_")}
    rows = {f"test_{chapter}_{_slug(row)}" for chapter, listed in ROWS.items() for row in listed}
    assert rows - written == set(), "rows without a test"
    own = {name for name in written if name.startswith(("test_variable_", "test_every_row_"))}
    assert written - rows == own, "tests without a row"
    assert len(REQUIRED) + len(OPTIONAL) + 3 == 22  # the rows of its table of variables


def _slug(row: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", row.lower()).strip("_")
