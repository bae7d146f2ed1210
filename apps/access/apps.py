"""Decides what a subscriber should have, and applies it."""

from typing import override

from django.apps import AppConfig


class AccessConfig(AppConfig):
    """Registers the job kinds and listens to the apps below."""

    name = "apps.access"
    verbose_name = "Subscribers"

    @override
    def ready(self) -> None:
        from apps.access import (
            account_link,
            expiring_cards,
            laws_history,
            laws_money,
            lifecycle_emails,
            memberships,
            reconcile,
            triggers,
            unwarned,
        )

        account_link.register()
        lifecycle_emails.register()
        unwarned.register()
        expiring_cards.register()
        reconcile.register()
        memberships.register()
        triggers.register()
        laws_history.register_laws()
        laws_money.register_laws()
