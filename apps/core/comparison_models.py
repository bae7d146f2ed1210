"""The row of a comparison with Stripe or Keycloak."""

from typing import Any, ClassVar, override

from django.db import models
from django.db.models import Q

from apps.core.choices import ToneChoices
from apps.core.states import Tone


class ComparisonRun(models.Model):
    """One comparison of ours with Stripe or Keycloak: what it looked at, found and fixed. Written only by `core.comparison_runs`."""

    class State(ToneChoices):
        """`stopped`: it died half-way, and a later one has begun."""

        RUNNING = "running", Tone.BUSY, "In progress"
        DONE = "done", Tone.GOOD, "Done"
        STOPPED = "stopped", Tone.BAD, "Did not end"

    kind = models.CharField(max_length=64, help_text="The kind of job that compares.")
    state = models.CharField(max_length=8, choices=State, default=State.RUNNING)
    since = models.DateTimeField(null=True, blank=True, help_text="The span that was asked for; empty: the usual one.")
    until = models.DateTimeField(null=True, blank=True)
    actor = models.CharField(max_length=150, help_text="Who asked for it; system: the schedule.")
    reason = models.CharField(max_length=300, blank=True)
    started_at = models.DateTimeField()
    progressed_at = models.DateTimeField(help_text="When its last slice ended.")
    ended_at = models.DateTimeField(null=True, blank=True)
    slices = models.PositiveIntegerField(default=0)
    looked_at = models.PositiveBigIntegerField(default=0)
    found = models.PositiveBigIntegerField(default=0, help_text="What was missing or differed.")
    fixed = models.PositiveBigIntegerField(default=0, help_text="Of it, fetched or about to be.")
    failed = models.PositiveBigIntegerField(default=0, help_text="Of it, left to staff.")
    items = models.JSONField(default=list, blank=True, help_text="The first of what was found: kind, id, who differs.")

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.CheckConstraint(
                condition=Q(state="running", ended_at=None) | (~Q(state="running") & Q(ended_at__isnull=False)),
                name="comparison_ended_has_time",
            ),
            models.CheckConstraint(
                condition=Q(since=None, until=None) | Q(since__lt=models.F("until")), name="comparison_span_in_order"
            ),
            models.UniqueConstraint(
                fields=["kind"], condition=Q(state="running"), name="comparison_one_running_per_kind"
            ),
        ]
        indexes: ClassVar[list[Any]] = [models.Index(fields=["kind", "-id"], name="comparison_kind")]

    @override
    def __str__(self) -> str:
        return f"comparison {self.pk}"
