"""Signup, checkout results, the waitlist and recovery: the domain behind the public pages."""

from typing import override

from django.apps import AppConfig


class OnboardingConfig(AppConfig):
    """Registers the job kinds and listens to billing."""

    name = "apps.onboarding"
    verbose_name = "Signup"

    @override
    def ready(self) -> None:
        from apps.login import sessions
        from apps.onboarding import checkout_result, contracts, forgetting, laws, own_details, pruning

        checkout_result.register()
        contracts.register()
        forgetting.register()
        pruning.register()
        laws.register_laws()
        sessions.on_login.append(own_details.follow_login)
