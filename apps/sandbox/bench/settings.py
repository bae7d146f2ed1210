"""The site's settings, with the benchmark's own routes and its job that does nothing."""

from config.settings import *  # noqa: F403

ROOT_URLCONF = "apps.sandbox.bench.urls"
INSTALLED_APPS = [*INSTALLED_APPS, "apps.sandbox.bench"]  # noqa: F405
MAILBOX_PROVIDERS = MAILBOX_PROVIDERS | {"example.com"}  # noqa: F405  (everybody who signs up here)
