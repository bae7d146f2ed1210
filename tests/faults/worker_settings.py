"""Settings of the worker processes that tests/faults starts: the job ledger and the probe, on the test's database."""

import os

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES, Q_CLUSTER

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
if "PROBE_RETRY" in os.environ:  # rings that wait longer than this in a worker's memory are handed out once more
    _retry = int(os.environ["PROBE_RETRY"])
    Q_CLUSTER = Q_CLUSTER | {"retry": _retry, "timeout": _retry - 1, "bulk": 10, "queue_limit": 50}
