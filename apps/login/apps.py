"""Login and logout by Keycloak, and how long a session lasts."""

from typing import override

from django.apps import AppConfig


class LoginConfig(AppConfig):
    """Registers the job that prunes sessions."""

    name = "apps.login"

    @override
    def ready(self) -> None:
        from apps.core import jobs
        from apps.core.models import Job
        from apps.login import sessions

        jobs.register(
            "prune_sessions", sessions.prune, label="Prune sessions", every=3600, importance=Job.Importance.SWEEP
        )
