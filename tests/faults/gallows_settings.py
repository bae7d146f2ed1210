"""Settings of a whole worker on the test's database and sandbox, with the gallows installed."""

import os

from tests.settings import *  # noqa: F403
from tests.settings import ANYMAIL, DATABASES, INSTALLED_APPS

_sandbox = os.environ["GALLOWS_SANDBOX"]
DATABASES["default"]["NAME"] = os.environ["PROBE_DATABASE"]
INSTALLED_APPS = [*INSTALLED_APPS, "tests.faults.gallows"]
CLOCK_OFFSET_FILE = os.environ["GALLOWS_CLOCK"]
KEYCLOAK_SERVER_URL = f"{_sandbox}/keycloak"
KEYCLOAK_ISSUER = f"{_sandbox}/keycloak/realms/frontdesk"
KEYCLOAK_ADMIN_CLIENT_ID = "frontdesk-sync"
KEYCLOAK_ADMIN_CLIENT_SECRET = "dev-only-sync-secret"
STRIPE_API_HOST = f"{_sandbox}/stripe"
ANYMAIL = ANYMAIL | {"MAILGUN_API_URL": f"{_sandbox}/mailgun/v3"}
EMAIL_BACKEND = "apps.notifications.mailgun.DirectBackend"
