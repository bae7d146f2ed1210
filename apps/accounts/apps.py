"""Who people are here: UserProfile, OIDC login and logout, staff roles."""

from typing import override

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Django's handle on the app."""

    name = "apps.accounts"

    @override
    def ready(self) -> None:
        from apps.accounts import sessions
        from apps.core import jobs

        jobs.register("prune_sessions", sessions.prune, every=3600)
