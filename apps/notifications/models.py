"""Mails as rows: one Notification per mail, with a key that makes it unique."""

from typing import Any, ClassVar, override

from django.db import models
from django.db.models import Q

from apps.accounts.models import UserProfile
from apps.core import languages
from apps.core.choices import ToneChoices
from apps.core.states import Tone
from apps.notifications.email_list import email_title


class Notification(models.Model):
    """One mail. Its key says what it is about, so that asking twice sends once."""

    class State(ToneChoices):
        """`sending` is written before Mailgun is called: found later, it means that the worker died over it.

        `uncertain`: Mailgun may have accepted the mail, but its answer was lost. It is sent once more, then never automatically.
        """

        QUEUED = "queued", Tone.BUSY, "Waiting"
        SENDING = "sending", Tone.BUSY, "Being sent"
        SENT = "sent", Tone.GOOD, "Sent"
        FAILED = "failed", Tone.BAD, "Not sent"
        UNCERTAIN = "uncertain", Tone.WARN, "Unconfirmed"

    class Delivery(ToneChoices):
        """What became of it after it was sent, as Mailgun tells: delivery.py. Empty: nothing was told."""

        DELAYED = "delayed", Tone.WARN, "Delayed"
        DELIVERED = "delivered", Tone.GOOD, "Delivered"
        BOUNCED = "bounced", Tone.BAD, "Bounced"
        FAILED = "failed", Tone.BAD, "Refused by Mailgun"
        COMPLAINED = "complained", Tone.BAD, "Marked as spam"

    key = models.CharField(max_length=200)
    template = models.CharField(max_length=64)
    profile = models.ForeignKey(
        UserProfile, null=True, blank=True, on_delete=models.SET_NULL, related_name="notifications", db_index=False
    )
    to = models.EmailField()
    language = models.CharField(
        max_length=2, choices=list(languages.NAMES.items()), default=languages.DEFAULT, db_default=languages.DEFAULT
    )
    context = models.JSONField(default=dict, blank=True)
    repeats = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="repetitions", db_index=False,
        help_text="The email that staff sent again by this one.",
    )  # fmt: skip
    encrypted = models.TextField(
        blank=True,
        editable=False,
        help_text="Encrypted values (codes); wiped when sent or given up.",
    )
    lost_answers = models.PositiveSmallIntegerField(
        default=0, help_text="How often it was handed to Mailgun without an answer."
    )
    useless_after = models.DateTimeField(null=True, blank=True, help_text="Not sent after this moment, as for a code.")
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    provider_id = models.CharField(max_length=255, blank=True)
    error = models.CharField(max_length=300, blank=True)
    delivery = models.CharField(max_length=10, choices=Delivery, blank=True, default="", db_default="")
    delivery_at = models.DateTimeField(null=True, blank=True)
    delivery_reason = models.CharField(
        max_length=200, blank=True, default="", db_default="", help_text="In the words of the other mail server."
    )
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "email"
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["key"], name="notification_one_per_key"),
            models.CheckConstraint(
                condition=~Q(state="sent") | Q(sent_at__isnull=False),
                name="notification_sent_has_time",
            ),
            models.CheckConstraint(
                condition=Q(delivery="", delivery_at__isnull=True) | ~Q(delivery="") & Q(delivery_at__isnull=False),
                name="notification_delivery_has_time",
            ),
        ]
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["state", "-id"], name="notification_state"),
            models.Index(
                fields=["-id"], condition=Q(state__in=["failed", "uncertain"]), name="notification_undelivered"
            ),
            models.Index(fields=["profile", "-id"], name="notification_profile"),
            models.Index(fields=["template", "-id"], name="notification_template"),
            models.Index(fields=["created_at"], name="notification_created"),
            models.Index(fields=["repeats"], condition=Q(repeats__isnull=False), name="notification_repeats"),
            models.Index(
                fields=["delivery", "-id"],
                condition=Q(delivery__in=["delayed", "bounced", "failed", "complained"]),
                name="notification_not_delivered",
            ),
        ]

    @override
    def __str__(self) -> str:
        return f"{email_title(self.template)}, {self.created_at:%-d %B %Y}"
