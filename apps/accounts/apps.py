"""Who people are here: UserProfile, Signup, staff roles."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Django's handle on the app."""

    name = "apps.accounts"
    verbose_name = "Subscribers"
