"""Settings of the worker processes that tests/faults starts: the job ledger and the probe, on the test's database."""

import os

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES

DATABASES["default"]["NAME"] = os.environ["PROBE_DATABASE"]
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django_q",
    "apps.core",
    "tests.faults.probe",
]
MIDDLEWARE: list[str] = []
TEMPLATES: list[object] = []
ROOT_URLCONF = "tests.faults.probe.urls"
SILENCED_SYSTEM_CHECKS: list[str] = []
