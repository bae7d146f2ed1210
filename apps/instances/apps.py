"""Where people sit: Instance, Seat and the one writer of seats."""

from typing import override

from django.apps import AppConfig


class InstancesConfig(AppConfig):
    """Django's handle on the app; registers its job."""

    name = "apps.instances"
    verbose_name = "Capacity"

    @override
    def ready(self) -> None:
        """Have expired holds given back every minute, and products told what people have."""
        from apps.accounts.erasers import ERASERS, PersonRows
        from apps.core import jobs
        from apps.instances import allocation, laws
        from apps.instances.provisioning import accounts, checks, deliveries, resending

        jobs.register(allocation.KIND, allocation.release_expired, label="Release expired reservations", every=60)
        laws.register()
        accounts.register()
        checks.register()
        deliveries.register()
        resending.register()
        ERASERS["accounts in products"] = PersonRows(accounts.accounts_of, accounts.forget_person)
