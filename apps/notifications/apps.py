"""Mails: one Notification row per mail."""

from typing import override

from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    """Django's handle on the app; registers its jobs."""

    name = "apps.notifications"
    verbose_name = "Emails"

    @override
    def ready(self) -> None:
        from apps.core import jobs, retention
        from apps.notifications import laws, mail

        jobs.register(mail.KIND, mail.send_notification, label="Send email", needs=("mailgun",))
        retention.register("emails", mail.prune, mail.overdue)
        retention.register("email_contents", mail.prune_contents, mail.count_contents)
        laws.register()
