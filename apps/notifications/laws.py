"""The law of mails: none twice, and each that was sent was accepted."""

from typing import Any

from django.db.models import Count, Exists, OuterRef, QuerySet

from apps.core import laws
from apps.core.laws import Checked, Law, LawSeverity, Scope
from apps.notifications import mail
from apps.notifications.models import Notification


def register() -> None:
    """Add it."""
    laws.register(
        Law(
            "L10",
            "No mail twice",
            "No two emails have one key or one acceptance of Mailgun's, and each that counts as sent was accepted, or its answer was"
            " lost and is counted.",
            LawSeverity.IMPORTANT,
            check_emails,
        )
    )


def check_emails(scope: Scope) -> Checked:
    """L10. What was emptied by the retention is not looked at for its acceptance; a mail that Keycloak sent has none."""
    emails = scope.narrow(Notification.objects.all(), "profile")
    sent = emails.filter(state=Notification.State.SENT, lost_answers=0).exclude(to="")
    unaccepted = sent.filter(provider_id="").exclude(template=mail.KEYCLOAK_TEMPLATE).order_by("pk")
    return laws.combine(
        emails,
        _judge(_repeated(emails, "key"), "has the key of an earlier one"),
        _judge(_repeated(emails.exclude(provider_id=""), "provider_id"), "has Mailgun's id of an earlier one"),
        _judge(unaccepted, "counts as sent, and Mailgun never accepted it"),
    )


def _repeated(emails: QuerySet[Notification], name: str) -> QuerySet[Notification]:
    """Those whose value of a column an earlier one has. First the values that occur twice, which are few."""
    twice = Notification.objects.values(name).annotate(count=Count("pk")).filter(count__gt=1).values(name)
    earlier = Notification.objects.filter(pk__lt=OuterRef("pk"), **{name: OuterRef(name)})
    return emails.filter(Exists(earlier), **{f"{name}__in": twice}).order_by("pk")


def _judge(broken: QuerySet[Any, Any], what: str) -> Checked:
    return laws.judge(
        0, broken, kind="notification", words=lambda row: f"Email {row.pk} {what}.", subscriber=lambda row: row.profile_id
    )  # fmt: skip
