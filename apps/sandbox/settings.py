"""Django settings of the sandbox process: no database, no apps of Frontdesk, its own port and cookies.

The sandbox is a program of its own that happens to live in this repository. It must never read `config.settings`.
"""

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent

DEBUG = False
SECRET_KEY = "sandbox: nothing here is secret"  # noqa: S105
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "apps.sandbox.urls"
USE_TZ = True
TIME_ZONE = "UTC"
INSTALLED_APPS: list[str] = []
MIDDLEWARE = ["apps.sandbox.middleware.Sandbox"]
DATABASES: dict[str, dict[str, str]] = {}
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [HERE / "templates"],
        "OPTIONS": {"context_processors": ["apps.sandbox.pages.shell"]},
    }
]
APPEND_SLASH = False
DATA_UPLOAD_MAX_MEMORY_SIZE = 16 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 10_000

# The folder the state is kept in between runs; empty: nothing is kept.
DATA_DIR = os.environ.get("SANDBOX_DATA_DIR", "")
# How long a change may wait before it is written there; the state of many customers takes a while to write.
SAVE_EVERY_SECONDS = float(os.environ.get("SANDBOX_SAVE_SECONDS", "0.5"))
# This process's own address as its visitors write it, without a slash at the end.
BASE_URL = os.environ.get("SANDBOX_BASE_URL", "http://127.0.0.1:8001")
# Where Stripe's webhooks go when no endpoint has been created through the API, and what signs them.
WEBHOOK_URL = os.environ.get("SANDBOX_WEBHOOK_URL", "")
WEBHOOK_SECRET = os.environ.get("SANDBOX_WEBHOOK_SECRET", "")
# Where Mailgun tells what became of mails, and what signs it; empty: nowhere but where `POST /control/mailgun` says.
MAILGUN_WEBHOOK_URL = os.environ.get("SANDBOX_MAILGUN_WEBHOOK_URL", "")
MAILGUN_SIGNING_KEY = os.environ.get("SANDBOX_MAILGUN_SIGNING_KEY", "signing-key-of-the-sandbox")
# Where Frontdesk itself is served, without a slash at the end; the login client accepts it as a redirect target.
APP_URL = os.environ.get("SANDBOX_APP_URL", "http://localhost:8000").rstrip("/")
# A file the clock's offset in seconds is written to, so that the application can follow the clock; empty: none.
CLOCK_FILE = os.environ.get("SANDBOX_CLOCK_FILE", "")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
}
