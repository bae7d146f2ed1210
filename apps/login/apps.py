"""Login and logout by Keycloak, and how long a session lasts."""

from typing import override

from django.apps import AppConfig


class LoginConfig(AppConfig):
    """Registers the job that prunes sessions."""

    name = "apps.login"

    @override
    def ready(self) -> None:
        from allauth.account.signals import user_logged_in
        from allauth.usersessions.signals import on_user_logged_in

        from apps.core import jobs
        from apps.core.models import Job
        from apps.login import laws, sessions

        # It would write the key of the browser's cookie into the list; sessions.begin() writes the row's.
        user_logged_in.disconnect(on_user_logged_in)
        jobs.register(
            "prune_sessions", sessions.prune, label="Prune sessions", every=3600, importance=Job.Importance.SWEEP
        )
        laws.register_laws()
