"""The site's settings with none of its apps: the middleware of `startproject`, dj-stripe as its manual has it, a database of its own."""

import os

from config.settings import *  # noqa: F403

STRIPE_TEST_SECRET_KEY = STRIPE_SECRET_KEY  # noqa: F405
DEBUG_PROPAGATE_EXCEPTIONS = True
ROOT_URLCONF = "apps.sandbox.bench.earlier.urls"
SESSION_ENGINE = "django.contrib.sessions.backends.db"
INSTALLED_APPS = [f"django.contrib.{name}" for name in ("auth", "contenttypes", "sessions", "messages")] + ["djstripe"]
MIDDLEWARE = [
    f"django.{name}Middleware"
    for name in (
        "middleware.security.Security", "contrib.sessions.middleware.Session", "middleware.common.Common",
        "middleware.csrf.CsrfView", "contrib.auth.middleware.Authentication", "contrib.messages.middleware.Message",
        "middleware.clickjacking.XFrameOptions",
    )
]  # fmt: skip
DATABASES["default"] |= {"ENGINE": "django.db.backends.postgresql", "NAME": "bench_earlier"}  # noqa: F405
if "EARLIER_DEFERS" in os.environ:  # what dj-stripe's manual suggests where its own way is too slow
    DJSTRIPE_WEBHOOK_EVENT_CALLBACK = "apps.sandbox.bench.earlier.tasks.process_later"
