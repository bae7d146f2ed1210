"""Staff's own word on somebody's access; where Keycloak was seen to differ from what it should say; and what looks have done."""

from typing import Any, ClassVar, override

from django.db import models
from django.db.models import F, Q

from apps.accounts.models import UserProfile
from apps.catalog.models import Product


class AccessOverride(models.Model):
    """A hold, a grant, a no-suspend or a kept place of one person, in force from its start until its end or until lifted."""

    class Kind(models.TextChoices):
        """What it does; see the table in policy.py."""

        HOLD = "hold", "Hold: no access, whatever is paid"
        GRANT = "grant", "Grant: access without payment"
        NO_SUSPEND = "no_suspend", "No suspension while a payment is late"
        KEEP_PLACE = "keep_place", "Keep the place of one who canceled"

    profile = models.ForeignKey(UserProfile, on_delete=models.CASCADE, related_name="overrides")
    kind = models.CharField(max_length=10, choices=Kind)
    products = models.ManyToManyField(Product, blank=True, related_name="+", help_text="What a grant gives.")
    reason = models.CharField(max_length=500)
    created_by = models.CharField(max_length=150)
    created_at = models.DateTimeField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Empty only for a hold: until staff lift it.")
    lifted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.CheckConstraint(condition=~Q(reason=""), name="override_has_a_reason"),
            models.CheckConstraint(condition=Q(kind="hold") | Q(ends_at__isnull=False), name="override_ends"),
            models.CheckConstraint(
                condition=Q(ends_at__isnull=True) | Q(ends_at__gt=F("starts_at")),
                name="override_in_order",
            ),
        ]
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["profile"], condition=Q(lifted_at__isnull=True), name="override_standing")
        ]

    @override
    def __str__(self) -> str:
        return f"{self.kind} on {self.profile_id}"


class Drift(models.Model):
    """One way in which Keycloak differs from what it should say about one person. The rule of each kind is in drift.py."""

    class Kind(models.TextChoices):
        """What is different."""

        ACCESS = "access", "Other access than is due"
        DISABLED = "disabled", "Disabled by hand"
        DELETED = "deleted", "Deleted by hand"
        RENAMED = "renamed", "Another username"
        REMAILED = "remailed", "Another mail address"

    profile = models.ForeignKey(UserProfile, on_delete=models.CASCADE, related_name="drifts")
    kind = models.CharField(max_length=10, choices=Kind)
    theirs = models.CharField(max_length=255, blank=True, help_text="What Keycloak says, of a name or an address.")
    steps = models.JSONField(default=list, help_text="The steps that would mend it, as sentences.")
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    ignored_until = models.DateTimeField(null=True, blank=True)
    gone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                fields=["profile", "kind"], condition=Q(gone_at__isnull=True), name="drift_one_standing_per_kind"
            ),
            models.CheckConstraint(condition=Q(last_seen_at__gte=F("first_seen_at")), name="drift_seen_in_order"),
        ]
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["kind", "-id"], condition=Q(gone_at__isnull=True), name="drift_standing")
        ]

    @override
    def __str__(self) -> str:
        return f"drift {self.pk}"


class Look(models.Model):
    """The last look at one person and the steps it took. Without an end: a try has failed, and what it did is kept here."""

    profile = models.OneToOneField(UserProfile, on_delete=models.CASCADE, related_name="last_look")
    generation = models.PositiveIntegerField(help_text="The ask it answers.")
    steps = models.JSONField(default=list, help_text="What was changed, as sentences.")
    ended_at = models.DateTimeField(null=True, blank=True)

    @override
    def __str__(self) -> str:
        return f"look {self.pk}"


class SyncRun(models.Model):
    """Looks at many people, asked for at once by staff. Who they are and how it went with each are its results."""

    class Scope(models.TextChoices):
        """How the people were chosen."""

        SELECTED = "selected", "Selected subscribers"
        DIFFERING = "differing", "All that differ"

    scope = models.CharField(max_length=10, choices=Scope)
    total = models.PositiveIntegerField(help_text="How many people.")
    actor = models.CharField(max_length=150, help_text="Who asked last; who began it is in the timeline.")
    reason = models.CharField(max_length=300)
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.CheckConstraint(condition=~Q(reason=""), name="sync_run_has_a_reason"),
            models.CheckConstraint(condition=Q(total__gt=0), name="sync_run_of_somebody"),
        ]

    @override
    def __str__(self) -> str:
        return f"sync run {self.pk}"


class SyncResult(models.Model):
    """One person of a run. That a look has failed is not kept here: its job says so, as long as it is so."""

    class Outcome(models.TextChoices):
        """What became of it."""

        WAITING = "waiting", "Waiting"
        CHANGED = "changed", "Changed"
        SAME = "same", "Nothing to do"

    run = models.ForeignKey(SyncRun, on_delete=models.CASCADE, related_name="results")
    profile = models.ForeignKey(UserProfile, on_delete=models.CASCADE, related_name="+")
    generation = models.PositiveIntegerField(null=True, blank=True, help_text="The ask it waits for; empty: not yet.")
    held_back = models.BooleanField(default=False, help_text="Would lose access; see the mass guard.")
    outcome = models.CharField(max_length=8, choices=Outcome, default=Outcome.WAITING)
    steps = models.JSONField(default=list, help_text="What was changed, as sentences.")
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["run", "profile"], name="sync_result_one_per_person"),
            models.CheckConstraint(
                condition=Q(outcome="waiting") | (Q(ended_at__isnull=False) & Q(generation__isnull=False)),
                name="sync_result_ended_was_asked",
            ),
        ]
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["run", "outcome", "id"], name="sync_result_run"),
            models.Index(fields=["profile"], condition=Q(outcome="waiting"), name="sync_result_open"),
        ]

    @override
    def __str__(self) -> str:
        return f"sync result {self.pk}"
