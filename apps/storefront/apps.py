"""The public site: signup wizard, waitlist, recovery."""

from typing import override

from django.apps import AppConfig


class StorefrontConfig(AppConfig):
    """Django's handle on the app."""

    name = "apps.storefront"

    @override
    def ready(self) -> None:
        """Register the app's jobs."""
        from apps.storefront import recovery_session

        recovery_session.register()
