"""Settings of a simulation's web and workers, with one row of the policy switched off."""

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.faults.mutants"]
