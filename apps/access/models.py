"""Staff decisions about access, incident mode and what it holds back, and what the last reconcile did."""

import datetime as dt
from typing import Any, ClassVar, override

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Exists, F, OuterRef, Q

from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.core.choices import ToneChoices
from apps.core.states import AccessState, Tone


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

    @classmethod
    def in_force(cls, *kinds: Kind, at: dt.datetime, since: dt.datetime | None = None) -> Exists:
        """The condition on subscribers that a decision of one of these kinds is in force at a moment, and has been since then."""
        begun = cls.objects.filter(profile=OuterRef("pk"), kind__in=kinds, lifted_at=None, starts_at__lte=since or at)
        return Exists(begun.filter(Q(ends_at=None) | Q(ends_at__gt=at)))


class TermsChange(models.Model):
    """A change of the operator's terms: for everybody, for a product, or for one subscriber. Rows are only added.

    What is empty is inherited; access/terms.py reads it.
    """

    class PausedCollection(models.TextChoices):
        """What happens while Stripe collects no payments of a subscription."""

        KEEP = "keep", "Keep access"
        CLOSE = "close", "Close access"

    class LostDispute(models.TextChoices):
        """What happens after a lost dispute of any payment of a subscription."""

        SUSPEND = "suspend", "Suspend"
        FLAG = "flag", "Only tell staff"

    VALUES = ("grace_days", "recovery_hours", "expiry_days", "paused_collection", "lost_dispute", "payment_attempts")

    product = models.ForeignKey(
        Product,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="+",
        help_text="Empty: not for a product.",
    )
    profile = models.ForeignKey(
        UserProfile, null=True, blank=True, on_delete=models.CASCADE, related_name="+", verbose_name="subscriber",
        help_text="Empty: not for one subscriber.",
    )  # fmt: skip
    grace_days = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MaxValueValidator(365)], help_text="Days of access after a failed payment."
    )
    recovery_hours = models.PositiveSmallIntegerField(
        "recovery window (hours)", null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(24 * 90)],
        help_text="How long a verified recovery code opens the dashboard.",
    )  # fmt: skip
    expiry_days = models.PositiveSmallIntegerField(
        "final expiry (days)", null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(3650)],
        help_text="Days for which the seats of somebody who canceled are kept.",
    )  # fmt: skip
    paused_collection = models.CharField(max_length=8, blank=True, choices=PausedCollection)
    lost_dispute = models.CharField(max_length=8, blank=True, choices=LostDispute)
    payment_attempts = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(30)],
        help_text="How often Stripe tries to collect a payment, as set in your Stripe account. For texts only.",
    )  # fmt: skip
    reason = models.CharField(max_length=500)
    changed_by = models.CharField(max_length=150)
    changed_at = models.DateTimeField()

    class Meta:
        verbose_name = "change of terms"
        verbose_name_plural = "terms"
        constraints: ClassVar[list[Any]] = [
            models.CheckConstraint(condition=~Q(reason=""), name="terms_have_a_reason"),
            models.CheckConstraint(condition=Q(product=None) | Q(profile=None), name="terms_of_one_scope"),
        ]
        indexes: ClassVar[list[Any]] = [models.Index(fields=["product", "profile", "-id"], name="terms_in_force")]

    @override
    def __str__(self) -> str:
        return f"terms {self.pk}" if self.pk else "new terms"


class LastSync(models.Model):
    """The last reconcile of a subscriber and its steps. Without `ended_at`, an attempt failed; its steps are kept here."""

    profile = models.OneToOneField(UserProfile, on_delete=models.CASCADE, related_name="last_sync")
    generation = models.PositiveIntegerField(help_text="The request it answers.")
    steps = models.JSONField(default=list, help_text="What was changed, as sentences.")
    ended_at = models.DateTimeField(null=True, blank=True)

    @override
    def __str__(self) -> str:
        return f"last sync {self.pk}"


class AccessFreeze(models.Model):
    """One time of incident mode: until its end, nobody loses access through billing. Only freezes.py writes it."""

    product = models.ForeignKey(
        Product, null=True, blank=True, on_delete=models.PROTECT, related_name="+",
        help_text="Only those who have this product; empty: everybody.",
    )  # fmt: skip
    reason = models.CharField(max_length=300)
    begun_at = models.DateTimeField()
    begun_by = models.CharField(max_length=150)
    until = models.DateTimeField(help_text="It ends by itself then.")
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=150, blank=True)

    class Meta:
        verbose_name = "incident"
        verbose_name_plural = "incident mode"
        constraints: ClassVar[list[Any]] = [
            models.CheckConstraint(condition=~Q(reason="") & ~Q(begun_by=""), name="freeze_has_a_reason"),
            models.CheckConstraint(condition=Q(until__gt=F("begun_at")), name="freeze_in_order"),
            models.UniqueConstraint(
                fields=["product"],
                condition=Q(ended_at__isnull=True),
                nulls_distinct=False,
                name="freeze_one_open_per_scope",
            ),
        ]

    @override
    def __str__(self) -> str:
        return f"incident {self.pk}"

    @classmethod
    def in_force(cls, at: dt.datetime) -> models.QuerySet["AccessFreeze"]:
        """Those that hold at a moment."""
        return cls.objects.filter(ended_at=None, until__gt=at)


class HeldBackLoss(models.Model):
    """What incident mode keeps a subscriber from losing. It protects beyond the freeze, until it is released and decided again."""

    profile = models.OneToOneField(UserProfile, on_delete=models.CASCADE, related_name="held_back")
    since = models.DateTimeField()
    state = models.CharField(max_length=12, help_text="The access state that billing demands.")
    why = models.CharField(max_length=500, help_text="Why billing demands it.")
    steps = models.JSONField(default=list, help_text="What would be taken, as sentences.")

    class Meta:
        verbose_name = "loss held back"
        verbose_name_plural = "losses held back"
        constraints: ClassVar[list[Any]] = [
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in AccessState]), name="held_back_state_known"
            ),
        ]
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["-since"], name="held_back_since"),
        ]

    @override
    def __str__(self) -> str:
        return f"loss held back {self.pk}"
