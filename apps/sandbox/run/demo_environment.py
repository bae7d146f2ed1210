"""The environment of the demo's processes: no secret in it opens anything but the sandbox."""

import os
import secrets
from pathlib import Path
from urllib.parse import urlsplit

from apps.sandbox.immich_account import API_KEY
from apps.sandbox.nextcloud_account import APP_PASSWORD
from apps.sandbox.stripe_account import KEY

# Variables of another installation would change the demo.
LEAVE_OUT = ("POSTGRES_", "DATABASE_", "PG", "STRIPE_", "KEYCLOAK_", "OIDC_", "MAILGUN_", "DJANGO_", "SANDBOX_", "PROMETHEUS_",
             "TRUSTED_", "SECURE_", "DEBUG", "PROVISIONER_")  # fmt: skip


def environment(*, data: Path, site: str, sandbox: str, database: dict[str, str] | None = None) -> dict[str, str]:
    """The environment of every process: the application's variables, pointing to the sandbox as to the real systems."""
    secret = data / "django-secret-key"
    if not secret.exists():
        secret.write_text(secrets.token_urlsafe(64))
        secret.chmod(0o600)
    ours = {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DJANGO_SECRET_KEY_FILE": str(secret),
        "BASE_URL": site,
        "ALLOWED_HOSTS": "127.0.0.1",
        "CLOCK_OFFSET_FILE": str(data / "clock"),
        **(database or {}),
        "KEYCLOAK_SERVER_URL": f"{sandbox}/keycloak",
        "KEYCLOAK_REALM": "frontdesk",
        "KEYCLOAK_CANARY_USERNAME": "stranger.stan",
        "OIDC_RP_CLIENT_ID": "frontdesk-web",
        "OIDC_RP_CLIENT_SECRET": "dev-only-web-secret",
        "KEYCLOAK_ADMIN_CLIENT_ID": "frontdesk-sync",
        "KEYCLOAK_ADMIN_CLIENT_SECRET": "dev-only-sync-secret",
        "KEYCLOAK_DOCTOR_CLIENT_ID": "frontdesk-doctor",
        "KEYCLOAK_DOCTOR_CLIENT_SECRET": "dev-only-doctor-secret",
        "STRIPE_SECRET_KEY": KEY,
        "STRIPE_PUBLISHABLE_KEY": "pk_test_sandbox00000000000000000000",
        "STRIPE_WEBHOOK_SECRET": "whsec_sandbox_0123456789abcdef0123456789abcdef",
        "STRIPE_API_HOST": f"{sandbox}/stripe",
        "STRIPE_JS_URL": f"{sandbox}/stripe/js/stripe.js",
        "STRIPE_CSP_HOSTS": sandbox,
        "MAILGUN_API_KEY": "key-sandbox",
        "MAILGUN_WEBHOOK_SIGNING_KEY": "signing-key-of-the-sandbox",
        "MAILGUN_API_URL": f"{sandbox}/mailgun/v3",
        "MAILGUN_DOMAIN": "mail.example.com",
        "OUTBOUND_HOSTS": urlsplit(sandbox).hostname or "",
        "PROVISIONER_SECRETS": f"nextcloud-1={APP_PASSWORD} nextcloud-2={APP_PASSWORD} immich-1={API_KEY}",
        "LEGAL_FOLDER": str(Path(__file__).resolve().parents[1] / "legal"),
        "SITE_LANGUAGES": "en,de",
        "BRAND_DESCRIPTION": "Your files, calendar and passwords, hosted for you and easy to leave.",
        "BRAND_DESCRIPTION_DE": "Ihre Dateien, Kalender und Passwörter, für Sie betrieben und leicht wieder mitzunehmen.",
        "BRAND_PROMISES": "Cancel any time | Hosted in Germany | Daily backups",
        "BRAND_PROMISES_DE": "Jederzeit kündbar | Betrieben in Deutschland | Tägliche Backups",
        "PROMETHEUS_METRICS_API_KEY": "metrics-0123456789abcdef0123456789abcdef",
        "MALLOC_MMAP_THRESHOLD_": "1048576",  # as in the Dockerfile
        "SANDBOX_BASE_URL": sandbox,
        "SANDBOX_APP_URL": site,
    }
    # A developer's own variables for another installation must not leak into the demo.
    passed = {name: value for name, value in os.environ.items() if not name.startswith(LEAVE_OUT)}
    return passed | ours
