"""Imports of existing customers as rows: what a source says of each, the verdict, what staff decided, and what was written.

Only imports.py, import_reading.py and import_job.py write them.
"""

from typing import Any, ClassVar, override

from django.db import models
from django.db.models import Q

from apps.accounts.models import UserProfile
from apps.core.choices import ToneChoices
from apps.core.states import Tone


class CustomerImport(models.Model):
    """One import: a file, Stripe's customers or a realm's users. Nothing but its own rows is written before it is started."""

    class Source(models.TextChoices):
        CSV = "csv", "CSV file"
        STRIPE = "stripe", "Stripe customers"
        KEYCLOAK = "keycloak", "Keycloak users"

    class State(ToneChoices):
        """While it is paused nobody is imported."""

        READING = "reading", Tone.BUSY, "Checking"
        PLANNED = "planned", Tone.WARN, "Waits for you"
        RUNNING = "running", Tone.BUSY, "Importing"
        PAUSED = "paused", Tone.WARN, "Paused"
        DONE = "done", Tone.GOOD, "Done"
        UNDOING = "undoing", Tone.BUSY, "Being undone"
        UNDONE = "undone", Tone.CALM, "Undone"
        ABANDONED = "abandoned", Tone.CALM, "Abandoned"

    class Stage(models.TextChoices):
        """Of the check, in this order. What a source has itself comes first."""

        ACCOUNTS = "accounts", "Reads Keycloak's users"
        CUSTOMERS = "customers", "Reads Stripe's subscriptions"
        RETURNS = "returns", "Reads Stripe's refunds and lost disputes"
        VERDICTS = "verdicts", "Decides about each row"

    ENDED = (State.DONE, State.UNDONE, State.ABANDONED)

    source = models.CharField(max_length=8, choices=Source)
    name = models.CharField(max_length=120, blank=True, help_text="Of the file.")
    state = models.CharField(max_length=9, choices=State, default=State.READING)
    stages = models.JSONField(default=list, blank=True, help_text="What the check still has to do, in this order.")
    cursor = models.CharField(max_length=255, blank=True, help_text="How far the present stage is.")
    sends_emails = models.BooleanField(
        default=False, help_text="Who gets a new account also gets an email to set its password."
    )
    actor = models.CharField(max_length=150)
    reason = models.CharField(max_length=300)
    created_at = models.DateTimeField()
    checked_at = models.DateTimeField(null=True, blank=True, help_text="When Keycloak and Stripe were read.")
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "import"
        constraints: ClassVar[list[Any]] = [
            models.CheckConstraint(condition=~Q(reason="") & ~Q(actor=""), name="import_has_a_reason"),
            models.CheckConstraint(
                condition=Q(state__in=["done", "undone", "abandoned"], ended_at__isnull=False)
                | (~Q(state__in=["done", "undone", "abandoned"]) & Q(ended_at__isnull=True)),
                name="import_ended_has_time",
            ),
        ]

    @override
    def __str__(self) -> str:
        return f"import {self.pk}"


class ImportRow(models.Model):
    """One customer: what the source says, what Keycloak and Stripe have of them, and what becomes of it."""

    class Verdict(ToneChoices):
        READY = "ready", Tone.GOOD, "Ready"
        DECISION = "decision", Tone.WARN, "Needs a decision"
        CONFLICT = "conflict", Tone.BAD, "Conflict"
        HERE = "here", Tone.CALM, "Here already"
        LEFT_OUT = "left_out", Tone.CALM, "Left out"

    class State(ToneChoices):
        PLANNED = "planned", Tone.CALM, "Not imported"
        IMPORTED = "imported", Tone.GOOD, "Imported"
        UNDOING = "undoing", Tone.BUSY, "Being undone"
        UNDONE = "undone", Tone.CALM, "Undone"
        KEPT = "kept", Tone.WARN, "Kept"

    run = models.ForeignKey(CustomerImport, on_delete=models.CASCADE, related_name="rows", db_index=False)
    number = models.PositiveIntegerField(help_text="Of the line in the file, or in the order of the source.")
    email = models.CharField(max_length=254, blank=True)
    username = models.CharField(max_length=150, blank=True)
    first_name = models.CharField(max_length=120, blank=True)
    last_name = models.CharField(max_length=120, blank=True)
    language = models.CharField(max_length=2, blank=True)
    keycloak_id = models.CharField(max_length=36, blank=True)
    customer_id = models.CharField(max_length=255, blank=True)
    products = models.JSONField(default=list, blank=True, help_text="What a grant gives, by slug.")
    seats = models.JSONField(default=dict, blank=True, help_text="Product to instance, both by slug.")
    access_until = models.DateTimeField(
        null=True, blank=True, help_text="Until when access is granted without payment."
    )
    problem = models.CharField(max_length=300, blank=True, help_text="Why the row cannot be read.")
    account = models.JSONField(default=dict, blank=True, help_text="The account that Keycloak has of them.")
    customers = models.JSONField(default=dict, blank=True, help_text="Their customers at Stripe, with subscriptions.")
    answers = models.JSONField(default=dict, blank=True, help_text="What staff decided, by question.")
    verdict = models.CharField(max_length=8, choices=Verdict, blank=True)
    question = models.CharField(max_length=20, blank=True, help_text="What staff have to decide.")
    choices = models.JSONField(default=list, blank=True, help_text="What they may decide: value and words.")
    why = models.CharField(max_length=400, blank=True)
    becomes = models.CharField(max_length=12, blank=True, help_text="The access state by the first decision.")
    state = models.CharField(max_length=8, choices=State, default=State.PLANNED)
    note = models.CharField(max_length=300, blank=True, help_text="Why it was kept, or not imported.")
    profile = models.ForeignKey(UserProfile, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    imported_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "row of an import"
        verbose_name_plural = "rows of imports"
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["run", "number"], name="import_row_once_per_number"),
            models.CheckConstraint(
                condition=~Q(state="imported") | Q(imported_at__isnull=False), name="import_row_imported_has_time"
            ),
            models.CheckConstraint(
                condition=~Q(verdict="decision") | ~Q(question=""), name="import_row_decision_has_a_question"
            ),
        ]
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["run", "verdict", "id"], name="import_row_verdict"),
            models.Index(fields=["run", "state", "id"], name="import_row_state"),
            models.Index(fields=["run", "email"], name="import_row_email"),
            models.Index(fields=["run", "customer_id"], condition=~Q(customer_id=""), name="import_row_customer"),
            models.Index(fields=["run", "keycloak_id"], condition=~Q(keycloak_id=""), name="import_row_account"),
        ]

    @override
    def __str__(self) -> str:
        return f"row {self.number} of import {self.run_id}"
