"""The delivery log: each message to a product that takes its orders as signed webhooks, and what came back.

Only provisioning/deliveries.py writes it. It names accounts by their rows, and goes with them.
"""

from typing import Any, ClassVar, override

from django.db import models

from apps.core.choices import ToneChoices
from apps.core.states import Tone


class DeliveryKind(models.TextChoices):
    """The `type` of the message. Questions are kept only where they failed."""

    ORDER = "account.order", "Order"
    QUESTION = "account.read", "Question"
    TEST = "endpoint.test", "Test"


class DeliveryState(ToneChoices):
    """What became of it. `sent`: no answer is known, since the worker ended first."""

    SENT = "sent", Tone.BUSY, "Sent"
    ACCEPTED = "accepted", Tone.GOOD, "Accepted"
    REFUSED = "refused", Tone.BAD, "Refused"
    FAILED = "failed", Tone.WARN, "Failed, to be repeated"


class WebhookDelivery(models.Model):
    """One attempt to deliver one message. Its number is the `sequence` that tells an account's later orders from earlier ones."""

    Kind, State = DeliveryKind, DeliveryState

    instance = models.ForeignKey("instances.Instance", on_delete=models.CASCADE, related_name="+", db_index=False)
    account = models.ForeignKey("instances.ProductAccount", on_delete=models.CASCADE, related_name="+", null=True)
    message_id = models.CharField(max_length=40, unique=True)
    kind = models.CharField(max_length=20, choices=DeliveryKind)
    order = models.JSONField(default=dict, help_text="What the account should be, as the message said.")
    state = models.CharField(max_length=8, choices=DeliveryState, default=DeliveryState.SENT)
    status = models.PositiveSmallIntegerField(null=True, help_text="Of the HTTP answer; empty: there was none.")
    milliseconds = models.PositiveIntegerField(null=True, help_text="Until the answer was read.")
    answer = models.CharField(max_length=500, blank=True, help_text="How the answer begins, without secrets.")
    sent_at = models.DateTimeField()

    class Meta:
        verbose_name = "webhook delivery"
        verbose_name_plural = "webhook deliveries"
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["sent_at"], name="webhook_delivery_sent_at"),
            models.Index(fields=["instance", "-id"], name="webhook_delivery_by_instance"),
            models.Index(fields=["state", "-id"], name="webhook_delivery_by_state"),
        ]

    @override
    def __str__(self) -> str:
        return f"delivery {self.pk}"
