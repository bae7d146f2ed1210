"""Bulk operations as rows: drift found in Keycloak, sync runs and their results, and reviews of the safeguard."""

from typing import Any, ClassVar, override

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from apps.accounts.models import UserProfile
from apps.core.choices import ToneChoices
from apps.core.states import Tone
from apps.operations.api_models import CustomerApiKey as CustomerApiKey
from apps.operations.api_models import CustomerChange as CustomerChange
from apps.operations.copy_models import DataCopy as DataCopy
from apps.operations.import_models import CustomerImport as CustomerImport
from apps.operations.import_models import ImportRow as ImportRow
from apps.operations.preview_models import TermsPreview as TermsPreview  # a file of its own: this one is long
from apps.operations.preview_models import TermsPreviewPerson as TermsPreviewPerson
from apps.operations.seat_plan_models import SeatMove as SeatMove
from apps.operations.seat_plan_models import SeatPlan as SeatPlan


class Drift(models.Model):
    """One difference between Keycloak and what it should say about a subscriber. drift.py has the rule of each kind."""

    class Kind(ToneChoices):
        ACCESS = "access", Tone.WARN, "Wrong entitlements"
        DISABLED = "disabled", Tone.BAD, "Disabled in Keycloak"
        DELETED = "deleted", Tone.BAD, "Deleted in Keycloak"
        USERNAME = "username", Tone.WARN, "Username changed in Keycloak"
        EMAIL = "email", Tone.WARN, "Email changed in Keycloak"
        MARK = "mark", Tone.BAD, "Mark changed in Keycloak"

        @property
        def is_personal(self) -> bool:
            """Whether its steps name the person."""
            return self in {Drift.Kind.USERNAME, Drift.Kind.EMAIL}

    profile = models.ForeignKey(UserProfile, on_delete=models.CASCADE, related_name="drifts")
    kind = models.CharField(max_length=10, choices=Kind)
    keycloak_value = models.CharField(max_length=255, blank=True, help_text="The username or email in Keycloak.")
    steps = models.JSONField(default=list, help_text="The steps that would fix it, as sentences.")
    is_excess = models.BooleanField(default=False, help_text="Keycloak gives more than is due.")
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    ignored_until = models.DateTimeField(null=True, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "drift"
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                fields=["profile", "kind"], condition=Q(resolved_at__isnull=True), name="drift_one_open_per_kind"
            ),
            models.CheckConstraint(condition=Q(last_seen_at__gte=F("first_seen_at")), name="drift_seen_in_order"),
        ]
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["kind", "-id"], condition=Q(resolved_at__isnull=True), name="drift_open"),
            models.Index(fields=["-id"], condition=Q(resolved_at__isnull=True), name="drift_newest"),
        ]

    @override
    def __str__(self) -> str:
        return f"drift {self.pk}"


class SyncRun(models.Model):
    """Many subscribers that staff sync at once. Its results say who they are and how it went with each."""

    class Scope(models.TextChoices):
        """How the subscribers were chosen."""

        SELECTED = "selected", "Selected subscribers"
        DIFFERING = "differing", "All with drift"

    scope = models.CharField(max_length=10, choices=Scope)
    total = models.PositiveIntegerField(help_text="How many subscribers.")
    actor = models.CharField(max_length=150, help_text="Who started or retried it last; the timeline has all.")
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
    """One subscriber of a run. A failure is not stored here: the job of that subscriber says so while it lasts."""

    class Outcome(ToneChoices):
        WAITING = "waiting", Tone.BUSY, "Waiting"
        CHANGED = "changed", Tone.GOOD, "Changed"
        SAME = "same", Tone.CALM, "No changes"

    run = models.ForeignKey(SyncRun, on_delete=models.CASCADE, related_name="results")
    profile = models.ForeignKey(UserProfile, on_delete=models.CASCADE, related_name="+")
    generation = models.PositiveIntegerField(
        null=True, blank=True, help_text="The request it waits for; empty: not requested yet."
    )
    awaiting_approval = models.BooleanField(default=False, help_text="Would lose access; the safeguard decides.")
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


class DailyFigure(models.Model):
    """One number of the business on one day, about nobody. Written only by daily_figures.py."""

    class Name(models.TextChoices):
        """`about`: the currency of revenue, the product's slug of seats, the instance's of its own; else empty."""

        SUBSCRIBERS = "subscribers", "Paying subscribers"
        REVENUE = "revenue", "Revenue per month, in minor units"
        NEW = "new", "New subscribers"
        LOST = "lost", "Lost subscribers"
        SEATS = "seats", "Seats taken"
        INSTANCE = "instance", "Seats taken on an instance"

    day = models.DateField()
    name = models.CharField(max_length=12, choices=Name)
    about = models.CharField(max_length=60, blank=True)
    value = models.BigIntegerField()

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["day", "name", "about"], name="daily_figure_one_a_day")
        ]

    @override
    def __str__(self) -> str:
        return f"{self.name} {self.about} {self.day}"


class ReportFigure(models.Model):
    """What happened to money on one day, about nobody. Written only by report_figures.py."""

    class Name(models.TextChoices):
        """`about`: the product's slug (empty: of none); of late payments at which attempt they were paid (empty: not yet); of discounts the coupon's number."""

        PAID = "paid", "Paid"
        REFUNDED = "refunded", "Refunded"
        LOST = "lost", "Lost in disputes"
        LATE = "late", "Late payments"
        DISCOUNT = "discount", "Discounts"

    day = models.DateField()
    name = models.CharField(max_length=12, choices=Name)
    about = models.CharField(max_length=60, blank=True)
    currency = models.CharField(max_length=16, blank=True)
    count = models.BigIntegerField()
    amount = models.BigIntegerField(help_text="Minor units.")
    seconds = models.BigIntegerField(default=0, help_text="Of late payments, until they were paid.")

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["day", "name", "about", "currency"], name="report_figure_one_a_day")
        ]

    @override
    def __str__(self) -> str:
        return f"{self.name} {self.about} {self.currency} {self.day}"


SWEEP_LABELS = {
    "reconcile_all": "The nightly sweep",
    "compare_subscriptions": "The comparison with Stripe",
    "compare_recent_changes": "The hourly comparison with Stripe",
    "sync_run": "A sync run",
    "decide_held_back": "The end of incident mode",
}


class SafeguardReview(models.Model):
    """A sweep that would take access from too many at once, and what staff decided. Only safeguard.py writes it."""

    class State(ToneChoices):
        """See the table in safeguard.py."""

        COLLECTING = "collecting", Tone.CALM, "Collecting"
        PENDING = "pending", Tone.BAD, "Waiting for approval"
        CONFIRMED = "confirmed", Tone.GOOD, "Approved"
        OBSOLETE = "obsolete", Tone.CALM, "No longer needed"

    sweep = models.CharField(max_length=64, help_text="The kind of job that stopped.")
    scope = models.CharField(max_length=64, blank=True, help_text="Which one, of a kind that runs for many things.")
    state = models.CharField(max_length=10, choices=State, default=State.COLLECTING)
    profile_ids = ArrayField(models.BigIntegerField(), default=list, help_text="The subscribers who would lose access.")
    with_access = models.PositiveIntegerField(default=0, help_text="How many had access when it was opened.")
    job_key = models.CharField(max_length=200, blank=True, help_text="The job that continues once it is approved.")
    opened_at = models.DateTimeField()
    seen_at = models.DateTimeField(help_text="When a sweep last found it.")
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.CharField(max_length=150, blank=True)
    reason = models.CharField(max_length=300, blank=True)
    until = models.DateTimeField(null=True, blank=True, help_text="An approval is valid until then.")
    used_at = models.DateTimeField(null=True, blank=True, help_text="When the sweep used the approval.")

    class Meta:
        verbose_name = "safeguard review"
        verbose_name_plural = "safeguard reviews"
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                fields=["sweep", "scope", "state"],
                condition=Q(state__in=["collecting", "pending"]),
                name="safeguard_one_open_per_sweep",
            ),
            models.CheckConstraint(
                condition=~Q(state="confirmed") | (~Q(reason="") & ~Q(decided_by="") & Q(until__isnull=False)),
                name="safeguard_confirmed_by_somebody",
            ),
        ]
        indexes: ClassVar[list[Any]] = [models.Index(fields=["sweep", "scope", "-id"], name="safeguard_sweep")]

    @override
    def __str__(self) -> str:
        return f"safeguard review {self.pk}"

    @property
    def sweep_label(self) -> str:
        return SWEEP_LABELS.get(self.sweep, self.sweep)


class ApprovalRequest(models.Model):
    """What one of staff may not do alone, as it was filled in, and what another one decided. Only approvals.py writes it."""

    class Action(models.TextChoices):
        """What is asked for; approval_actions.py says who may approve it and what it then does."""

        EXTEND_GRACE = "extend_grace", "Extend grace period"
        SYNC_SELECTED = "sync_selected", "Sync selected"
        SYNC_DIFFERING = "sync_differing", "Fix all drift"
        SYNC_FAILED = "sync_failed", "Run the failed ones again"
        RETRY_JOBS = "retry_jobs", "Retry failed jobs"
        SEND_EMAILS_AGAIN = "send_emails_again", "Send selected emails again"
        APPROVE_REVOCATION = "approve_revocation", "Approve revocation"
        ERASE_PERSON = "erase_person", "Erase personal data"
        INVITE_NEXT = "invite_next", "Invite from the waitlist"
        START_SEAT_PLAN = "start_seat_plan", "Drain or rebalance"
        START_IMPORT = "start_import", "Import customers"
        UNDO_IMPORT = "undo_import", "Undo an import"

    class State(ToneChoices):
        """Only the first is open, until `expires_at`."""

        PENDING = "pending", Tone.WARN, "Waiting for approval"
        APPROVED = "approved", Tone.GOOD, "Approved"
        DECLINED = "declined", Tone.CALM, "Declined"
        WITHDRAWN = "withdrawn", Tone.CALM, "Withdrawn"
        EXPIRED = "expired", Tone.CALM, "Expired"

    action = models.CharField(max_length=30)
    subject = models.CharField(max_length=80, help_text="What it is about; of each there is one open request.")
    profile = models.ForeignKey(
        UserProfile, null=True, blank=True, on_delete=models.CASCADE, related_name="approval_requests"
    )
    row_ids = ArrayField(models.BigIntegerField(), default=list, help_text="The rows that it is about.")
    terms = models.JSONField(default=dict, help_text="What else was chosen in the dialog.")
    facts = models.JSONField(default=list, help_text="What was so when it was asked: names and values.")
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    requested_by = models.CharField(max_length=150)
    reason = models.CharField(max_length=300)
    requested_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    decided_by = models.CharField(max_length=150, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    decision_reason = models.CharField(max_length=300, blank=True)
    outcome = models.CharField(max_length=300, blank=True, help_text="What was done, once it was approved.")

    class Meta:
        verbose_name = "approval request"
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                fields=["action", "subject"], condition=Q(state="pending"), name="approval_one_open_per_subject"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["approved", "declined"]) | ~Q(decided_by=F("requested_by")),
                name="approval_by_another_person",
            ),
            models.CheckConstraint(
                condition=~Q(state="withdrawn") | Q(decided_by=F("requested_by")), name="approval_withdrawn_by_its_own"
            ),
            models.CheckConstraint(
                condition=Q(state="pending", decided_by="", decided_at__isnull=True)
                | (~Q(state="pending") & ~Q(decided_by="") & Q(decided_at__isnull=False) & ~Q(decision_reason="")),
                name="approval_decided_by_somebody",
            ),
            models.CheckConstraint(condition=~Q(reason="") & ~Q(requested_by=""), name="approval_asked_for_a_reason"),
        ]
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["expires_at"], condition=Q(state="pending"), name="approval_open")
        ]

    @override
    def __str__(self) -> str:
        return f"request {self.pk}"

    @property
    def action_label(self) -> str:
        return str(self.Action(self.action).label)
