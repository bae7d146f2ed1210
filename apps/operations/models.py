"""Bulk operations as rows: drift found in Keycloak, sync runs and their results, and reviews of the safeguard."""

from typing import Any, ClassVar, override

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from apps.accounts.models import UserProfile


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


class MassLoss(models.Model):
    """A sweep that would take access from too many at once, and what staff said to it. Written by mass.py alone."""

    class State(models.TextChoices):
        """`gathering` while a walk still counts; the others are about a question that was put to staff."""

        GATHERING = "gathering", "Being counted"
        ASKING = "asking", "Waits for staff"
        CONFIRMED = "confirmed", "Confirmed"
        GONE = "gone", "No longer so"

    sweep = models.CharField(max_length=64, help_text="The kind of job that stopped.")
    scope = models.CharField(max_length=64, blank=True, help_text="Which one, of a kind that runs for many things.")
    state = models.CharField(max_length=10, choices=State, default=State.GATHERING)
    who = ArrayField(models.BigIntegerField(), default=list, help_text="The subscribers who would lose access.")
    subscribers = models.PositiveIntegerField(default=0, help_text="How many had access when it was asked.")
    job_key = models.CharField(max_length=200, blank=True, help_text="The job that goes on once it is confirmed.")
    asked_at = models.DateTimeField()
    seen_at = models.DateTimeField(help_text="When the sweep found it last.")
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.CharField(max_length=150, blank=True)
    reason = models.CharField(max_length=300, blank=True)
    until = models.DateTimeField(null=True, blank=True, help_text="A confirmation holds until then.")
    done_at = models.DateTimeField(null=True, blank=True, help_text="When what was confirmed was asked for.")

    class Meta:
        verbose_name = "mass loss of access"
        verbose_name_plural = "mass losses of access"
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                fields=["sweep", "scope", "state"],
                condition=Q(state__in=["gathering", "asking"]),
                name="mass_loss_one_open_per_sweep",
            ),
            models.CheckConstraint(
                condition=~Q(state="confirmed") | (~Q(reason="") & ~Q(decided_by="") & Q(until__isnull=False)),
                name="mass_loss_confirmed_by_somebody",
            ),
        ]
        indexes: ClassVar[list[Any]] = [models.Index(fields=["sweep", "scope", "-id"], name="mass_loss_sweep")]

    @override
    def __str__(self) -> str:
        return f"mass loss {self.pk}"
