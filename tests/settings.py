"""Settings of the tests: those of production, on a Postgres of our own, with values that belong to nobody.

pytest-django reads settings before any conftest.py, so the server is started here. POSTGRES_HOST or DATABASE_URL in the
environment chooses another server; every other variable is set here, so that a developer's own environment does not matter.
"""

import os
from pathlib import Path

import pytest

from apps.sandbox.run import postgres, postgres_idle
from tests import prepared


def _start_postgres() -> str:
    data = Path(__file__).resolve().parents[1] / ".data/test-postgres"
    try:
        try:
            return postgres_idle.start_until_idle(data)
        except postgres.PostgresError:  # without durability a power cut may ruin it; nothing in it is worth keeping
            postgres.stop(data, remove=True)
            return postgres_idle.start_until_idle(data)
    except postgres.PostgresError as error:
        raise pytest.UsageError(f"The tests need Postgres, which did not start. {error}") from error


if not (os.environ.get("POSTGRES_HOST") or os.environ.get("DATABASE_URL") or os.environ.get("DATABASE_URL_FILE")):
    # Set in the environment, so that the processes of pytest-xdist and of tests find the same server.
    os.environ |= {
        "POSTGRES_HOST": _start_postgres(),
        "POSTGRES_PORT": "5432",
        "POSTGRES_DB": postgres.NAME,
        "POSTGRES_USER": postgres.NAME,
        "POSTGRES_PASSWORD": "not-asked-for",
    }

os.environ |= {
    "DJANGO_SECRET_KEY": "only-for-tests-0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJ",
    "DEBUG": "false",
    "BASE_URL": "http://localhost:8000",
    "ALLOWED_HOSTS": "testserver 127.0.0.1",
    "OUTBOUND_HOSTS": "127.0.0.1",  # where the stand-ins of products are
    "KEYCLOAK_SERVER_URL": "http://127.0.0.1:9/keycloak",  # port 9: a test that calls out by mistake is refused at once
    "KEYCLOAK_REALM": "frontdesk",
    "KEYCLOAK_PARENT_GROUP": "/frontdesk",
    "KEYCLOAK_STAFF_GROUP": "/staff",
    "KEYCLOAK_CANARY_USERNAME": "",
    "OIDC_RP_CLIENT_ID": "frontdesk-web",
    "OIDC_RP_CLIENT_SECRET": "test-oidc-secret",
    "KEYCLOAK_ADMIN_CLIENT_ID": "frontdesk-admin",
    "KEYCLOAK_ADMIN_CLIENT_SECRET": "test-admin-secret",
    "KEYCLOAK_DOCTOR_CLIENT_ID": "",
    "KEYCLOAK_DOCTOR_CLIENT_SECRET": "",
    "STRIPE_SECRET_KEY": "sk_test_000000000000000000000000",
    "STRIPE_PUBLISHABLE_KEY": "pk_test_000000000000000000000000",
    "STRIPE_WEBHOOK_SECRET": "whsec_test",
    "STRIPE_WEBHOOK_SECRET_PREVIOUS": "",
    "STRIPE_ALLOW_LIVE": "false",
    "STRIPE_API_HOST": "http://127.0.0.1:9/stripe",
    "STRIPE_ACCOUNT_ID": "acct_frontdesk",
    "STRIPE_CHECKOUT_UI": "embedded",
    "MAILGUN_API_KEY": "test-mailgun-key",
    "MAILGUN_DOMAIN": "mail.example.com",
    "MAILGUN_WAITLIST_ADDRESS": "waitlist@example.com",
    "MAILGUN_API_URL": "http://127.0.0.1:9/mailgun/v3",
    "PROMETHEUS_METRICS_API_KEY": "test-metrics-key",
    "MAILBOX_PROVIDERS": "gmail.com example.com",  # nearly everybody in the tests has an address there
    "TRUSTED_PROXY_COUNT": "0",
    "LOG_LEVEL": "WARNING",
    # Playwright keeps an event loop in the thread of the tests, which Django's ORM would take for asynchronous code.
    "DJANGO_ALLOW_ASYNC_UNSAFE": "true",
}
for name in (
    "PROMETHEUS_MULTIPROC_DIR",
    "CLOCK_OFFSET_FILE",
    "ALERT_URLS",
    "ALERT_AFTER_MINUTES",
    "ALERT_QUIET_HOURS",
    "PAYMENT_GRACE_DAYS",
    "RECOVERY_WINDOW_HOURS",
    "WAITLIST_INVITATION_DAYS",
    "FINAL_EXPIRY_DAYS",
    "PAUSED_COLLECTION",
    "LOST_DISPUTE",
):
    os.environ.pop(name, None)
for name in [name for name in os.environ if name.endswith("_FILE") and name.removesuffix("_FILE") in os.environ]:
    os.environ.pop(name)  # a secret is given once, and it was given above

# Where this is set, each of the hundred processes that the tests start would compile all of Frontdesk anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

if prepared.RUN not in os.environ:  # the first process of a run; the others inherit what it found
    prepared.forget_dead_runs()
    os.environ |= {prepared.RUN: str(os.getpid()), prepared.TEMPLATE: prepared.template()}

from config.settings import *  # noqa: E402, F403
from config.settings import DATABASES, STORAGES  # noqa: E402

DATABASES["default"]["TEST"] = {
    "NAME": f"test_frontdesk_{os.environ[prepared.RUN]}",
    "TEMPLATE": os.environ[prepared.TEMPLATE],
}

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # fast
STORAGES = STORAGES | {  # without a manifest, which only collectstatic makes
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
}
WHITENOISE_AUTOREFRESH = True  # each of the thousands of test clients would else look through all static files first
