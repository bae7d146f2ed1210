"""Staff decisions about a subscriber's access, and what the last reconcile did."""

from typing import Any, ClassVar, override

from django.db import models
from django.db.models import F, Q

from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.core.choices import ToneChoices
from apps.core.states import Tone


class AccessOverride(models.Model):
    """A dated staff decision about one subscriber, in force from its start until its end or until staff end it."""

    class Kind(ToneChoices):
        """What it does; see the table in policy.py."""

        HOLD = "hold", Tone.BAD, "Hold: no access, whatever is paid"
        GRANT = "grant", Tone.GOOD, "Grant: access without payment"
        NO_SUSPEND = "no_suspend", Tone.BUSY, "No suspension while a payment is late"
        WAIVE_DISPUTE = "waive_dispute", Tone.BUSY, "Waived: access despite a lost dispute"
        KEEP_SEAT = "keep_seat", Tone.BUSY, "Keep the seat after cancellation"

    profile = models.ForeignKey(UserProfile, on_delete=models.CASCADE, related_name="overrides")
    kind = models.CharField(max_length=16, choices=Kind)
    products = models.ManyToManyField(Product, blank=True, related_name="+", help_text="What a grant gives.")
    reason = models.CharField(max_length=500)
    created_by = models.CharField(max_length=150)
    created_at = models.DateTimeField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(
        null=True, blank=True, help_text="Empty for a hold or a waiver: until staff lift it."
    )
    lifted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "override"
        constraints: ClassVar[list[Any]] = [
            models.CheckConstraint(condition=~Q(reason=""), name="override_has_a_reason"),
            models.CheckConstraint(
                condition=Q(kind__in=["hold", "waive_dispute"]) | Q(ends_at__isnull=False), name="override_ends"
            ),
            models.CheckConstraint(
                condition=Q(ends_at__isnull=True) | Q(ends_at__gt=F("starts_at")),
                name="override_in_order",
            ),
        ]
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["profile"], condition=Q(lifted_at__isnull=True), name="override_active")
        ]

    @override
    def __str__(self) -> str:
        return f"{self.kind} on {self.profile_id}"


class LastSync(models.Model):
    """The last reconcile of a subscriber and its steps. Without `ended_at`, an attempt failed; its steps are kept here."""

    profile = models.OneToOneField(UserProfile, on_delete=models.CASCADE, related_name="last_sync")
    generation = models.PositiveIntegerField(help_text="The request it answers.")
    steps = models.JSONField(default=list, help_text="What was changed, as sentences.")
    ended_at = models.DateTimeField(null=True, blank=True)

    @override
    def __str__(self) -> str:
        return f"last sync {self.pk}"
