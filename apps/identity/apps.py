"""The only app that speaks Keycloak's Admin API."""

from typing import override

from django.apps import AppConfig


class IdentityConfig(AppConfig):
    """Django's handle on the app; registers its jobs."""

    name = "apps.identity"

    @override
    def ready(self) -> None:
        from apps.core import jobs
        from apps.identity import doctor, logins, passwords

        jobs.register(logins.KIND, logins.check_logins, needs=("keycloak",), every=logins.EVERY_SECONDS)
        jobs.register(passwords.KIND, passwords.send_password_email, needs=("keycloak",))
        jobs.register(doctor.KIND, doctor.send_test_mail)  # answers at once, also when Keycloak is away
