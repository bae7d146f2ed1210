"""The rows of privacy: what people asked for, and whose data has to be kept for a dispute. No names in either."""

from typing import Any, ClassVar, override

from django.db import models
from django.db.models import F, Q

from apps.core.choices import ToneChoices
from apps.core.states import Tone


class PrivacyRequest(models.Model):
    """Somebody asked for a copy of their data, or to be erased. The law gives a month. Written by operations/privacy_requests.py."""

    class Kind(models.TextChoices):
        COPY = "copy", "Copy of the data"
        ERASURE = "erasure", "Erasure"

    class State(ToneChoices):
        OPEN = "open", Tone.BUSY, "Open"
        DONE = "done", Tone.GOOD, "Done"
        REFUSED = "refused", Tone.CALM, "Refused"
        WITHDRAWN = "withdrawn", Tone.CALM, "Withdrawn"

    profile = models.ForeignKey("accounts.UserProfile", on_delete=models.CASCADE, related_name="privacy_requests")
    kind = models.CharField(max_length=8, choices=Kind)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    received_on = models.DateField(help_text="The day it reached the company.")
    due_on = models.DateField(help_text="The last day to answer.")
    opened_by = models.CharField(max_length=150)
    opened_at = models.DateTimeField()
    note = models.CharField(max_length=300, help_text="How it came in.")
    closed_by = models.CharField(max_length=150, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=300, blank=True, help_text="What was answered, and why.")

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                fields=["profile", "kind"], condition=Q(state="open"), name="privacy_one_open_per_kind"
            ),
            models.CheckConstraint(condition=Q(due_on__gt=F("received_on")), name="privacy_due_after_received"),
            models.CheckConstraint(
                condition=Q(state="open", closed_at__isnull=True, closed_by="")
                | ~Q(state="open") & Q(closed_at__isnull=False) & ~Q(closed_by=""),
                name="privacy_closed_by_somebody",
            ),
        ]
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["due_on", "-id"], name="privacy_due"),
            models.Index(fields=["state", "-id"], name="privacy_state"),
            models.Index(fields=["due_on", "-id"], condition=Q(state="open"), name="privacy_open"),
        ]

    @override
    def __str__(self) -> str:
        return f"privacy request {self.pk}"


class LegalHold(models.Model):
    """A reason for which a person's data must be kept: nothing of it is erased or pruned. Written by accounts/legal_holds.py."""

    profile = models.ForeignKey("accounts.UserProfile", on_delete=models.CASCADE, related_name="legal_holds")
    reason = models.CharField(max_length=300, help_text="Such as the number of the case; without names.")
    set_by = models.CharField(max_length=150)
    set_at = models.DateTimeField()
    ended_by = models.CharField(max_length=150, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.CheckConstraint(condition=~Q(reason="") & ~Q(set_by=""), name="legal_hold_has_a_reason"),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, ended_by="")
                | Q(ended_at__gte=F("set_at")) & ~Q(ended_by="") & ~Q(end_reason=""),
                name="legal_hold_ended_by_somebody",
            ),
            models.UniqueConstraint(
                fields=["profile", "reason"], condition=Q(ended_at__isnull=True), name="legal_hold_once_per_reason"
            ),
        ]

    @override
    def __str__(self) -> str:
        return f"legal hold {self.pk}"
