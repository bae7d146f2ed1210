"""The only app that speaks Keycloak's Admin API."""

from typing import override

from django.apps import AppConfig


class IdentityConfig(AppConfig):
    """Registers the app's jobs."""

    name = "apps.identity"

    @override
    def ready(self) -> None:
        from apps.accounts import staff
        from apps.core import jobs
        from apps.core.models import Job
        from apps.identity import (
            account_details,
            erasure,
            logout_everywhere,
            passwords,
            realm_test_email,
            session_checks,
            user_profile,
        )

        staff.confirm_groups.append(session_checks.confirmed_groups)
        every = session_checks.EVERY_SECONDS
        jobs.register(
            session_checks.KIND, session_checks.check_logins, label="Check logins", needs=("keycloak",), every=every
        )
        jobs.register(
            user_profile.KIND, user_profile.read_user_profile, label="Read the realm's rules for names",
            needs=("keycloak",), every=user_profile.EVERY_SECONDS,
        )  # fmt: skip
        jobs.register(
            logout_everywhere.KIND, logout_everywhere.end_keycloak_sessions, label="End Keycloak sessions",
            needs=("keycloak",),
        )  # fmt: skip
        for kind, write, what in (
            (account_details.WRITE_EMAIL, account_details.write_email, "email"),
            (account_details.WRITE_NAME, account_details.write_name, "name"),
            (account_details.WRITE_LANGUAGE, account_details.write_language, "language"),
            (account_details.FILL_LANGUAGE, account_details.fill_language, "the first language"),
        ):
            jobs.register(kind, write, label=f"Write {what} to Keycloak", needs=("keycloak",))
        jobs.register(erasure.KIND, erasure.delete_account, label="Delete account", needs=("keycloak",))
        jobs.register(
            passwords.KIND,
            passwords.send_password_email,
            label="Send password email",
            needs=("keycloak",),
            importance=Job.Importance.PERSON_WAITS,
        )
        jobs.register(
            realm_test_email.KIND, realm_test_email.run_test_email
        )  # ends at once, even while Keycloak is down
