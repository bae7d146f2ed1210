"""The operator's pages; the only place with ModelAdmins."""

from typing import override

from django.apps import AppConfig
from django.contrib import admin


class ConsoleConfig(AppConfig):
    """Django's handle on the app."""

    name = "apps.console"

    @override
    def ready(self) -> None:
        """Give the one admin site our rules, and switch on the check of its actions."""
        from apps.console import (
            checks,  # noqa: F401  (registers itself)
            invitation_approvals,
            personal,
        )
        from apps.console.site import ConsoleSite

        # The site exists already and others have registered with it: it changes its class, it is not replaced.
        admin.site.__class__ = ConsoleSite
        admin.site.disable_action("delete_selected")
        personal.declare()
        invitation_approvals.register()
