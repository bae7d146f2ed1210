"""The rows of a preview of changed terms: what it would do, and to whom."""

from typing import Any, ClassVar, override

from django.db import models
from django.db.models import Q

from apps.access.models import TermsChange
from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.core.choices import ToneChoices
from apps.core.states import Tone


class TermsPreview(models.Model):
    """What a change of terms would do, found out by a job before anything is saved. Only terms_preview.py writes it."""

    class State(ToneChoices):
        """See the picture in terms_preview.py."""

        COUNTING = "counting", Tone.BUSY, "In progress"
        READY = "ready", Tone.WARN, "Waiting for you"
        CONFIRMED = "confirmed", Tone.BUSY, "Checking again"
        SAVED = "saved", Tone.GOOD, "Saved"
        ABANDONED = "abandoned", Tone.CALM, "Abandoned"

    product = models.ForeignKey(Product, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    profile = models.ForeignKey(
        UserProfile, null=True, blank=True, on_delete=models.CASCADE, related_name="+", verbose_name="subscriber"
    )
    values = models.JSONField(default=dict, help_text="The terms as they would be: columns of a change of terms.")
    reason = models.CharField(max_length=300)
    requested_by = models.CharField(max_length=150)
    requested_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State, default=State.COUNTING)
    based_on = models.BigIntegerField(
        null=True, blank=True, help_text="The newest change of terms when it began; 0: none."
    )
    total = models.PositiveIntegerField(null=True, blank=True, help_text="How many the change can concern.")
    checked = models.PositiveIntegerField(default=0, help_text="How many of them are decided about.")
    with_access = models.PositiveIntegerField(default=0, help_text="How many had access when it began.")
    counted_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.CharField(max_length=150, blank=True, help_text="Who confirmed or abandoned it.")
    decided_at = models.DateTimeField(null=True, blank=True)
    problem = models.CharField(max_length=300, blank=True, help_text="Why it was not saved after it was confirmed.")
    change = models.ForeignKey(TermsChange, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        verbose_name = "preview of terms"
        verbose_name_plural = "previews of terms"
        constraints: ClassVar[list[Any]] = [
            models.CheckConstraint(condition=~Q(reason="") & ~Q(requested_by=""), name="terms_preview_has_a_reason"),
            models.CheckConstraint(condition=Q(product=None) | Q(profile=None), name="terms_preview_of_one_scope"),
            models.CheckConstraint(
                condition=~Q(state__in=["confirmed", "saved", "abandoned"])
                | (~Q(decided_by="") & Q(decided_at__isnull=False)),
                name="terms_preview_decided_by_somebody",
            ),
        ]

    @override
    def __str__(self) -> str:
        return f"preview {self.pk}"

    @property
    def is_working(self) -> bool:
        """Its job has something to do."""
        return self.state in {self.State.COUNTING, self.State.CONFIRMED}

    def as_change(self) -> TermsChange:
        """The change that it is about, not saved."""
        return TermsChange(product_id=self.product_id, profile_id=self.profile_id, **self.values)


class TermsPreviewPerson(models.Model):
    """One subscriber whom the change can concern: what it does, once it was decided. Whom it does nothing to is deleted."""

    class Effect(ToneChoices):
        UNDECIDED = "", Tone.BUSY, "Not decided yet"
        GAIN = "gain", Tone.GOOD, "Get access"
        LOSE = "lose", Tone.BAD, "Lose access"
        GIVE_UP = "give_up", Tone.BAD, "Lose what was kept for them"
        MOVED = "moved", Tone.CALM, "A date moves"
        NONE = "none", Tone.CALM, "Nothing changes"

    LOSSES = ("lose", "give_up")

    preview = models.ForeignKey(TermsPreview, on_delete=models.CASCADE, related_name="people")
    profile = models.ForeignKey(UserProfile, on_delete=models.CASCADE, related_name="+")
    effect = models.CharField(max_length=8, blank=True, choices=Effect, default="", db_default="")
    shown = models.CharField(
        max_length=8, blank=True, default="", db_default="", help_text="What staff saw when they confirmed."
    )
    before = models.CharField(max_length=12, blank=True, default="", db_default="")
    after = models.CharField(max_length=12, blank=True, default="", db_default="")
    synced = models.BooleanField(default=False, db_default=False, help_text="The sync by the new terms is queued.")

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["preview", "profile"], name="terms_preview_one_per_person")
        ]
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["preview", "effect", "id"], name="terms_preview_effect"),
            models.Index(fields=["preview", "id"], condition=Q(effect=""), name="terms_preview_undecided"),
            models.Index(fields=["preview", "id"], condition=Q(synced=False), name="terms_preview_unsynced"),
        ]

    @override
    def __str__(self) -> str:
        return f"person {self.profile_id} of preview {self.preview_id}"
