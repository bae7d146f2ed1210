"""The foundation: clock, errors, jobs, locks, audit, limits. Knows no other app."""

from typing import override

from django.apps import AppConfig


class CoreConfig(AppConfig):
    """Registers the system checks."""

    name = "apps.core"
    verbose_name = "System"

    @override
    def ready(self) -> None:
        from apps.core import checks  # noqa: F401  (importing it registers them)
