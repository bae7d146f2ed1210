"""The heart: decides what a person should have and makes it so."""

from typing import override

from django.apps import AppConfig


class AccessConfig(AppConfig):
    """Registers the job kinds and listens to the apps below."""

    name = "apps.access"

    @override
    def ready(self) -> None:
        from apps.access import drift, gauges, reconcile, runs, settling, watches

        drift.register()
        gauges.register()
        reconcile.register()
        runs.register()
        settling.register()
        watches.register()
