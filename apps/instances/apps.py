"""Where people sit: Instance, Seat and the one writer of seats."""

from typing import override

from django.apps import AppConfig


class InstancesConfig(AppConfig):
    """Django's handle on the app; registers its job."""

    name = "apps.instances"
    verbose_name = "Capacity"

    @override
    def ready(self) -> None:
        """Have expired holds given back every minute."""
        from apps.core import jobs
        from apps.instances import allocation, laws

        jobs.register(allocation.KIND, allocation.release_expired, label="Release expired reservations", every=60)
        laws.register()
