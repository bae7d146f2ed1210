"""Durable work: what waits, what runs, what failed and why, and how to try it again."""

from typing import Any, ClassVar, override

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db.models import Count
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.widgets import UnfoldAdminSelectWidget

from apps.console.asking import ask, name_rows
from apps.console.base import ConsoleAdmin
from apps.console.columns import badge, state_column, time_column, when
from apps.console.dialogs import ReasonDialog, dialog, dialog_action
from apps.console.filters import JobsOfProblem
from apps.console.saved_views import SavedView
from apps.core import audit, clock, jobs
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.core.models import Job
from apps.core.states import Tone
from apps.operations import approvals
from apps.operations.models import ApprovalRequest

AT_ONCE = 500


class RetryAllDialog(ReasonDialog):
    """One kind, or all of them."""

    kind = forms.ChoiceField(required=False, widget=UnfoldAdminSelectWidget)

    @override
    def prepare(self) -> None:
        kinds = Job.objects.filter(state__in=Job.GIVEN_UP).order_by("kind").values_list("kind", flat=True).distinct()
        field: Any = self.fields["kind"]
        field.choices = [("", "All kinds"), *((kind, jobs.kind_label(kind)) for kind in kinds)]
        field.help_text = (
            f"At most {AT_ONCE} at once, the oldest first; more than {settings.TWO_PEOPLE_ABOVE} need a second person."
        )


def retry_approved(request: ApprovalRequest) -> str:
    """Once it is approved: those of them that are still stuck."""
    found = list(Job.objects.filter(pk__in=request.row_ids, state__in=Job.GIVEN_UP).order_by("pk"))
    if not found:
        raise BadInput("None of them is stuck anymore.")
    return retry_each(found, actor=request.requested_by, reason=request.reason)


def stuck_facts(request: ApprovalRequest) -> approvals.Facts:
    """How many of each kind are stuck."""
    stuck = Job.objects.filter(pk__in=request.row_ids, state__in=Job.GIVEN_UP).order_by("kind")
    counted = stuck.values_list("kind").annotate(Count("pk"))
    return [[f"Stuck: {jobs.kind_label(kind)}", str(count)] for kind, count in counted]


approvals.register(ApprovalRequest.Action.RETRY_JOBS, approvals.Approvable("retry_job", retry_approved, stuck_facts))


def retry(job: Job, *, actor: str, reason: str) -> None:
    """Run a stuck job again, and say so in the timeline."""
    audit.record(
        subject=("job", job.pk), action=AuditAction.JOB_RETRIED, actor=actor, reason=reason,
        before={"state": job.state}, after={"kind": job.kind, "key": job.key},
    )  # fmt: skip
    jobs.retry(job, actor=actor)


def retry_each(found: list[Job], *, actor: str, reason: str) -> str:
    for job in found:
        retry(job, actor=actor, reason=reason)
    return f"{len(found)} job{'s' if len(found) != 1 else ''} run again."


def retry_or_ask(form: ReasonDialog, found: list[Job]) -> str:
    """Run them again, or ask for it when they are more than one person may."""
    if not approvals.needs_two_people(len(found)):
        return retry_each(found, **form.why)
    ids = [job.pk for job in found]
    return ask(form, ApprovalRequest.Action.RETRY_JOBS, subject=name_rows(ids), row_ids=ids)


@admin.register(Job)
class JobAdmin(ConsoleAdmin):
    list_display = ("work", "key", "state_label", "attempts", "due", "error", "created")
    list_filter = (("state", ChoicesDropdownFilter), JobsOfProblem)
    tabs = ("state", (Job.State.QUEUED, Job.State.BLOCKED, Job.State.DEAD, Job.State.DONE))
    views = (SavedView("stuck", "Stuck", lambda rows: rows.filter(state__in=Job.GIVEN_UP)),)
    deferred = ("history",)
    search_by: ClassVar[dict[str, str]] = {
        "customer": "key", "subscription": "key", "event": "key", "session": "key", "stripe": "key",
        "uuid": "key", "number": "key pk", "text": "kind__startswith",
    }  # fmt: skip
    search_help_text = "Kind, or the key: an id, evt_…, cus_…"
    actions_list: ClassVar[Any] = ["retry_all"]
    actions_detail: ClassVar[Any] = ["retry_one"]
    fieldsets = (
        (None, {"fields": (("work", "key"), ("state_label", "lane"), "reason")}),
        ("Runs", {"fields": (("attempts", "runs"), ("due", "parked_on"), ("created", "started", "finished"))}),
        ("Results", {"fields": ("last_error", "story")}),
    )

    state_label = state_column()
    created = time_column("created_at", "Requested")
    started = time_column("started_at", "Started")
    finished = time_column("finished_at", "Finished")

    @admin.display(description="Job", ordering="kind")
    def work(self, row: Job) -> str:
        return jobs.kind_label(row.kind)

    @admin.display(description="Due", ordering="not_before")
    def due(self, row: Job) -> str:
        """When it may run, and what it waits for."""
        if row.state != Job.State.QUEUED:
            return "–"
        if row.parked_on:
            return f"when {row.parked_on} answers"
        return "now" if row.not_before <= clock.now() else when(row.not_before)

    @admin.display(description="Last error")
    def error(self, row: Job) -> SafeString:
        return format_html('<span class="fd-error">{}</span>', row.last_error[:120] or "–")

    @admin.display(description="Last runs")
    def story(self, row: Job) -> SafeString:
        """The last runs, the newest first."""
        lines = (
            (str(run.get("at", ""))[:19].replace("T", " "), _outcome_badge(run), run.get("reason", ""))
            for run in reversed(row.history)
        )
        items = format_html_join("", "<li><time>{}</time>{}<span>{}</span></li>", lines)
        return format_html('<ol class="fd-story">{}</ol>', items)

    @dialog_action(
        title="Retry", permission="retry_job", form=dialog(Job, "job"), fresh=False, icon="replay",
        refuse=lambda row: "" if row.state in Job.GIVEN_UP else "Only a failed or blocked job can be retried.",
    )  # fmt: skip
    def retry_one(self, _request: HttpRequest, form: ReasonDialog) -> str:
        retry(form.target, **form.why)
        return f"{form.target} runs again."

    @dialog_action(
        title="Retry all failed jobs", permission="retry_job", form=RetryAllDialog, icon="restart_alt",
        explain="Retries every failed or blocked job. Fix the cause first.",
    )  # fmt: skip
    def retry_all(self, _request: HttpRequest, form: RetryAllDialog) -> str:
        """Each from its first attempt."""
        stuck = Job.objects.filter(state__in=Job.GIVEN_UP).order_by("pk")
        if form.cleaned_data["kind"]:
            stuck = stuck.filter(kind=form.cleaned_data["kind"])
        found = list(stuck[:AT_ONCE])
        if not found:
            raise BadInput("Nothing is stuck.")
        return retry_or_ask(form, found)


def _outcome_badge(run: dict[str, Any]) -> SafeString:
    """How a run ended: a job's state, or that it is tried again."""
    outcome = str(run.get("outcome", ""))
    if outcome in Job.State.values:
        return badge(Job.State(outcome).label, Job.State(outcome).tone)
    return {"retry": badge("Tried", Tone.WARN), "parked": badge("Parked", Tone.BUSY)}.get(outcome, badge(outcome))
