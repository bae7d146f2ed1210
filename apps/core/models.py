"""Jobs, schedules, dependencies, restores, the audit trail, attention items, sent alerts and rate limits."""

import uuid
from typing import Any, ClassVar, override

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from apps.core.audit_actions import STAFF_CHANGES
from apps.core.backup_models import Backup as Backup
from apps.core.choices import ToneChoices
from apps.core.comparison_models import ComparisonRun as ComparisonRun  # a file of its own: this one is long
from apps.core.heartbeat_models import Heartbeat as Heartbeat
from apps.core.outage_models import Outage as Outage
from apps.core.states import Tone


class Job(models.Model):
    """One durable piece of work. Written only by `core.jobs`; django-q2 only wakes it up."""

    class State(ToneChoices):
        """At most one row per kind and key is queued, and at most one per lane is running."""

        QUEUED = "queued", Tone.BUSY, "Waiting"
        RUNNING = "running", Tone.BUSY, "Running"
        DONE = "done", Tone.GOOD, "Done"
        SUPERSEDED = "superseded", Tone.CALM, "Superseded"
        BLOCKED = "blocked", Tone.BAD, "Needs attention"
        DEAD = "dead", Tone.BAD, "Failed"

    UNFINISHED: ClassVar = (State.QUEUED, State.RUNNING)
    GIVEN_UP: ClassVar = (State.BLOCKED, State.DEAD)  # until staff retry them, or work for the same succeeds
    FINISHED: ClassVar = (State.DONE, State.SUPERSEDED)  # nothing of them is still to come

    class Importance(models.IntegerChoices):
        """Which of the jobs that are due runs first; within one, the job that has been due longest."""

        PERSON_WAITS = 0, "A person waits for it"  # has paid and has no access yet, or asked for a code
        CLICKED = 1, "A person asked for it"
        CHANGE = 2, "A change"  # renewals and all others
        SWEEP = 3, "A sweep"  # work over everybody, nightly and in bulk

    kind = models.CharField(max_length=64)
    key = models.CharField(max_length=300)  # Stripe's ids have up to 255 characters
    lane = models.CharField(max_length=400, help_text="Jobs of one lane never run at the same time.")
    state = models.CharField(max_length=12, choices=State, default=State.QUEUED)
    reason = models.CharField(max_length=300, blank=True, help_text="Who or what asked for it last.")
    importance = models.PositiveSmallIntegerField(choices=Importance, db_default=Importance.CHANGE)
    waits_for_lane = models.BooleanField(db_default=False, help_text="Set aside until a run in its lane ends.")
    attempts = models.PositiveSmallIntegerField(default=0, help_text="Counted before the work starts.")
    runs = models.PositiveIntegerField(default=0, help_text="How often it was started, parked runs included.")
    not_before = models.DateTimeField()
    parked_on = models.CharField(
        max_length=32, blank=True, help_text="The system that is down, if that is why it waits."
    )
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True)
    history = models.JSONField(default=list, blank=True, help_text="The last runs: at, outcome, reason.")
    request_id = models.CharField(max_length=64, blank=True, default="", db_default="", help_text="What caused it.")

    # Set by the claim: the database connection that holds the lock of the run, and whether any system was down.
    lock_holder: Any = None
    is_anything_down = True

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                fields=["kind", "key"], condition=Q(state="queued"), name="job_one_waiting_per_kind_and_key"
            ),
            models.UniqueConstraint(fields=["lane"], condition=Q(state="running"), name="job_one_running_per_lane"),
            models.CheckConstraint(
                condition=~Q(state="running") | Q(started_at__isnull=False), name="job_running_has_start"
            ),
        ]
        indexes: ClassVar[list[Any]] = [
            models.Index(
                fields=["importance", "not_before", "id"],
                condition=Q(state="queued", waits_for_lane=False),
                name="job_due",
            ),
            models.Index(
                fields=["lane", "importance", "not_before", "id"],
                condition=Q(state="queued", waits_for_lane=True),
                name="job_set_aside",
            ),
            models.Index(fields=["state", "-id"], name="job_state"),
            models.Index(fields=["kind", "key", "-id"], name="job_kind_key"),
            models.Index(
                fields=["importance", "finished_at"], condition=Q(state__in=["done", "superseded"]), name="job_ended"
            ),
            models.Index(fields=["-id"], condition=Q(state__in=["blocked", "dead"]), name="job_stuck"),
            models.Index(
                fields=["kind", "key"], condition=Q(state__in=["queued", "running", "blocked", "dead"]), name="job_live"
            ),
        ]

    @override
    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


class Schedule(models.Model):
    """When a periodic kind of job is due next."""

    kind = models.CharField(max_length=64, primary_key=True)
    next_at = models.DateTimeField()

    @override
    def __str__(self) -> str:
        return self.kind


class Dependency(models.Model):
    """A system we call that is known to be down; the row goes when it answers again."""

    name = models.CharField(max_length=32, primary_key=True)
    down_since = models.DateTimeField()
    probe_at = models.DateTimeField(help_text="When the next job may try it.")
    reason = models.CharField(max_length=300)

    @override
    def __str__(self) -> str:
        return self.name


class RestoreMarker(models.Model):
    """The one row that a file outside the database is compared with. Written only by `core.restore_marker`."""

    database = models.UUIDField(primary_key=True, default=uuid.uuid4, help_text="Tells this database from others.")
    count = models.PositiveBigIntegerField(default=0, help_text="Goes up each minute; the file never has more.")
    at = models.DateTimeField(help_text="When it went up last.")

    @override
    def __str__(self) -> str:
        return f"restore marker {self.database}"


class RestoreCheck(models.Model):
    """What is checked after the database was restored. Begun and finished by `core.restores`, advanced by operations."""

    class Step(models.TextChoices):
        """In this order; each is done before the next begins."""

        CUSTOMERS = "customers", "Reading Stripe's customers"
        ACCOUNTS = "accounts", "Reading Keycloak's accounts"
        MIRRORING = "mirroring", "Refreshing everybody from Stripe"
        ERASURES = "erasures", "Erasing again who was erased"
        SUBSCRIBERS = "subscribers", "Comparing each subscriber with Keycloak"
        READY = "ready", "Done; staff decide"

    noticed_at = models.DateTimeField()
    evidence = models.CharField(max_length=500, help_text="What shows that the database was restored.")
    lost_from = models.DateTimeField(null=True, blank=True, help_text="When the backup was made, to a minute.")
    lost_until = models.DateTimeField(null=True, blank=True, help_text="The last minute that the marker knew.")
    lost_entries = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="How many lines of the audit trail are gone."
    )
    step = models.CharField(max_length=12, choices=Step, default=Step.CUSTOMERS)
    cursor = models.CharField(max_length=255, blank=True, help_text="How far the step is.")
    counts = models.JSONField(default=dict, blank=True, help_text="What was seen and done, by name.")
    strangers = models.JSONField(
        default=dict, blank=True, help_text="Customers who pay and are nobody here: our mark to their id."
    )
    finished_at = models.DateTimeField(null=True, blank=True)
    finished_by = models.CharField(max_length=150, blank=True)
    reason = models.CharField(max_length=300, blank=True, help_text="Why staff finished it.")

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                fields=["finished_at"],
                condition=Q(finished_at=None),
                nulls_distinct=False,
                name="restore_check_one_open",
            ),
            models.CheckConstraint(
                condition=Q(finished_at=None) | (~Q(finished_by="") & ~Q(reason="")),
                name="restore_check_finished_by_somebody",
            ),
        ]

    @override
    def __str__(self) -> str:
        return f"restore check {self.pk}"


class AuditEntry(models.Model):
    """One line of a timeline: who did what to whom and why. Append-only: a trigger refuses changes and deletions."""

    at = models.DateTimeField()
    subject_kind = models.CharField(max_length=32, help_text="profile, instance, product, job, …")
    subject_id = models.CharField(max_length=64)
    action = models.CharField(max_length=64)
    actor = models.CharField(max_length=150, help_text="staff:<username>, customer, stripe:<event>, system")
    reason = models.CharField(max_length=500, blank=True)
    before = models.JSONField(default=dict, blank=True)
    after = models.JSONField(default=dict, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    prev_hash = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64)

    class Meta:
        verbose_name_plural = "audit entries"
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["subject_kind", "subject_id", "-id"], name="audit_subject"),
            models.Index(fields=["actor", "-id"], name="audit_actor"),
            models.Index(fields=["at"], name="audit_at"),
            models.Index(fields=["-id"], condition=STAFF_CHANGES, name="audit_by_staff"),
        ]

    @override
    def __str__(self) -> str:
        return f"{self.subject_kind} {self.subject_id}: {self.action}"


class AuditAnchor(models.Model):
    """A signed line over the audit trail up to one entry: at the end of each block, and each day. Written by `core.audit_anchor`."""

    last = models.BigIntegerField(primary_key=True, help_text="The number of the last entry it covers.")
    line = models.CharField(max_length=400)
    checked_at = models.DateTimeField(help_text="When the entries of its block were last compared with it.")

    @override
    def __str__(self) -> str:
        return f"audit anchor {self.last}"


class AttentionItem(models.Model):
    """One thing that needs staff. Written only by `core.attention`."""

    cause = models.CharField(max_length=32)
    key = models.CharField(max_length=300, help_text="Tells two items of one kind apart.")
    sentence = models.CharField(max_length=1000, help_text="What is wrong, and what to do.")
    profile_ids = ArrayField(models.BigIntegerField(), default=list, help_text="The subscribers it affects.")
    times = models.PositiveIntegerField(default=1, help_text="How often it was found.")
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolution = models.CharField(max_length=300, blank=True, help_text="Who closed it and why.")
    assignee = models.CharField(
        max_length=150, blank=True, default="", db_default="", help_text="Who of staff deals with it."
    )
    snoozed_until = models.DateTimeField(null=True, blank=True, help_text="It needs nobody before this moment.")
    ignored_at = models.DateTimeField(null=True, blank=True, help_text="Since when it needs nobody, until it ends.")
    decision = models.CharField(
        max_length=500, blank=True, default="", db_default="", help_text="Who snoozed or ignored it and why."
    )

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                fields=["cause", "key"], condition=Q(resolved_at=None), name="attention_one_open_per_cause"
            )
        ]
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["-last_at"], condition=Q(resolved_at=None), name="attention_open")
        ]

    @override
    def __str__(self) -> str:
        return f"{self.cause} {self.key}"


class AlertSent(models.Model):
    """When one cause was last told outside the console, and in which state it was. Written only by `core.alerts`."""

    key = models.CharField(max_length=200, primary_key=True)
    sent_at = models.DateTimeField()
    digest = models.CharField(max_length=64)

    @override
    def __str__(self) -> str:
        return self.key


class RetentionCheck(models.Model):
    """What the last check of one row of the retention table found. Written only by `core.retention_check`."""

    rule = models.CharField(max_length=64, primary_key=True)
    overdue = models.PositiveBigIntegerField(help_text="Rows that are older than they may be.")
    since = models.DateTimeField(null=True, blank=True, help_text="When the first check in a row found any.")
    checked_at = models.DateTimeField()

    @override
    def __str__(self) -> str:
        return self.rule


class LawCheck(models.Model):
    """How a law was from one check to another. A check that finds something else begins a new row. Written only by `core.law_checks`."""

    class State(ToneChoices):
        OK = "ok", Tone.GOOD, "Holds"
        VIOLATED = "violated", Tone.BAD, "Violated"
        UNKNOWN = "unknown", Tone.WARN, "Not checked"

    law = models.CharField(max_length=8)
    state = models.CharField(max_length=8, choices=State)
    first_at = models.DateTimeField(help_text="When a check first found this.")
    checked_at = models.DateTimeField(help_text="When a check last found this.")
    looked_at = models.PositiveBigIntegerField(help_text="How many rows the last check looked at.")
    total = models.PositiveBigIntegerField(help_text="How many violations.")
    violations = models.JSONField(
        default=list, blank=True, help_text="The first of them: kind, id, subscriber, sentence."
    )
    reason = models.CharField(max_length=300, blank=True, help_text="Why it could not be checked.")
    seconds = models.FloatField(help_text="How long the last check took.")

    class Meta:
        verbose_name_plural = "laws"
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["law", "-id"], name="law_check_newest"),
            models.Index(fields=["law", "-id"], condition=Q(state="violated"), name="law_check_violated"),
            models.Index(fields=["checked_at"], name="law_check_age"),
        ]

    @override
    def __str__(self) -> str:
        return f"{self.law} {self.state}"


class RateLimit(models.Model):
    """How much one subject has spent of one limit. The subject is a keyed hash, never clear text."""

    name = models.CharField(max_length=64)
    subject = models.CharField(max_length=64)
    per = models.PositiveIntegerField(help_text="Seconds in which all that was spent comes back.")
    busy_until = models.FloatField(help_text="Unix seconds at which all is back: each use adds its share.")

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["name", "subject", "per"], name="rate_limit_one_row")
        ]
        indexes: ClassVar[list[Any]] = [models.Index(fields=["busy_until"], name="rate_limit_busy_until")]

    @override
    def __str__(self) -> str:
        return f"{self.name} {self.per}"
