"""Who people are here: UserProfile, Signup, staff roles."""

from typing import override

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Django's handle on the app."""

    name = "apps.accounts"
    verbose_name = "Subscribers"

    @override
    def ready(self) -> None:
        from apps.accounts import notes

        notes.register()
