"""Durable work: what is stuck and whom it keeps waiting, what waits, what runs, and how to try it again.

The list opens on what is stuck. Of the rest it leaves out periodic jobs that ended well, unless everything is asked for.
"""

from typing import Any, ClassVar, override

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.widgets import UnfoldAdminSelectWidget

from apps.console import selection
from apps.console.asking import ask, describe_limit, name_rows, needs_second
from apps.console.base import ConsoleAdmin, ConsoleList
from apps.console.columns import badge, state_column, time_column, timed
from apps.console.dialogs import ReasonDialog, dialog, dialog_action
from apps.console.filters import DefaultedFilter, JobsOfProblem
from apps.console.job_people import find_people
from apps.console.saved_views import PARAMETER, SavedView
from apps.core import clock, jobs
from apps.core.errors import BadInput
from apps.core.job_outcomes import PERIODIC
from apps.core.models import Job
from apps.core.states import Tone
from apps.operations import job_retries
from apps.operations.models import ApprovalRequest

AT_ONCE = 500
SELECTED = 50  # a page of the list
NONE = "No stuck job is selected. Select some with the checkboxes in the list first."


class ShownFilter(DefaultedFilter):
    """Begins with what is stuck; who searches or chooses otherwise looks for any job."""

    title, parameter_name = "shown", "is"
    options = (("stuck", "Stuck"), ("work", "All but periodic"), ("all", "Everything"))
    others = ("q", PARAMETER, "state__exact", "problem")

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.chosen == "all" or (self.value() is None and any(request.GET.get(one) for one in self.others)):
            return queryset
        if self.chosen == "stuck":
            return queryset.filter(state__in=Job.GIVEN_UP)
        return queryset.exclude(key=PERIODIC, state__in=Job.FINISHED)


class JobList(ConsoleList):
    """With the subscriber of each job."""

    @override
    def get_results(self, request: HttpRequest) -> None:
        """One more query, for the page's rows only."""
        super().get_results(request)
        found = find_people(row.pk for row in self.result_list) if self.result_list else {}
        for row in self.result_list:
            row.person = found.get(row.pk)


class RetrySelectedDialog(ReasonDialog):
    """Shows the jobs selected in the list, which the address names, and for whom they are."""

    form_before_template = "console/dialogs/selected_jobs.html"
    opener: ClassVar[dict[str, str]] = selection.opener("jobs")

    def jobs(self) -> QuerySet[Job]:
        """Those that are stuck, the oldest first. BadInput when there is none, or they are too many."""
        too_many = f"At most {SELECTED} can be retried by selecting them."
        named = selection.read_selected(self.request, "jobs", most=SELECTED, too_many=too_many)
        found = Job.objects.filter(pk__in=named, state__in=Job.GIVEN_UP).order_by("pk")
        if not found:
            raise BadInput(NONE)
        return found

    @override
    def context(self) -> dict[str, Any]:
        try:
            found = list(self.jobs())
        except BadInput as refusal:
            return {"problem": refusal.message}
        people = find_people(job.pk for job in found)
        return {
            "jobs": [(job, people.get(job.pk)) for job in found],
            "count": len(found),
            "all": len(found),
        } | describe_limit(self, ApprovalRequest.Action.RETRY_JOBS, len(found))


class RetryAllDialog(ReasonDialog):
    """One kind, or all of them."""

    kind = forms.ChoiceField(required=False, widget=UnfoldAdminSelectWidget)

    @override
    def prepare(self) -> None:
        stuck = Job.objects.filter(state__in=Job.GIVEN_UP).order_by("kind")
        counts = dict(stuck.values_list("kind").annotate(Count("pk")))
        field: Any = self.fields["kind"]
        field.choices = [
            ("", f"All kinds: {sum(counts.values()):,}"),
            *((kind, f"{jobs.kind_label(kind)}: {count:,}") for kind, count in counts.items()),
        ]
        field.help_text = (
            f"At most {AT_ONCE} at once, the oldest first; more than {settings.TWO_PEOPLE_ABOVE} need a second person."
        )


def retry_or_ask(form: ReasonDialog, found: list[Job]) -> str:
    """Run them again, or ask for it when they are more than one person may."""
    action = ApprovalRequest.Action.RETRY_JOBS
    if not needs_second(form, action, len(found)):
        return job_retries.retry_each(found, **form.why)
    ids = [job.pk for job in found]
    return ask(form, action, subject=name_rows(ids), row_ids=ids)


@admin.register(Job)
class JobAdmin(ConsoleAdmin):
    list_display = ("work", "person", "state_label", "error", "attempts", "due", "created", "key")
    list_display_links = ("work",)
    list_filter = (ShownFilter, ("state", ChoicesDropdownFilter), JobsOfProblem)
    changelist_class = JobList
    opens_on = "stuck"
    all_rows: ClassVar[dict[str, str]] = {"is": "work"}
    tabs = ("state", (Job.State.QUEUED, Job.State.BLOCKED, Job.State.DEAD, Job.State.DONE))
    views = (SavedView("stuck", "Stuck", lambda rows: rows.filter(state__in=Job.GIVEN_UP)),)
    deferred = ("history",)
    search_by: ClassVar[dict[str, str]] = {
        "customer": "key", "subscription": "key", "event": "key", "session": "key", "stripe": "key",
        "uuid": "key", "number": "key pk", "text": "kind__startswith",
    }  # fmt: skip
    search_help_text = "Kind, or the key: an id, evt_…, cus_…"
    actions_list: ClassVar[Any] = ["retry_selected", "retry_all"]
    actions_detail: ClassVar[Any] = ["retry_one"]
    fieldsets = (
        (None, {"fields": (("work", "subscriber"), ("state_label", "reason"), "last_error")}),
        ("Runs", {"fields": (("attempts", "runs"), ("due", "parked_on"), ("created", "started", "finished"))}),
        ("Results", {"fields": ("story",)}),
        ("Technical", {"fields": (("key", "lane"), "request_id"), "classes": ("collapse",)}),
    )

    state_label = state_column()
    created = time_column("created_at", "Requested")
    started = time_column("started_at", "Started")
    finished = time_column("finished_at", "Finished")

    @admin.display(description="Job", ordering="kind")
    def work(self, row: Job) -> str:
        return jobs.kind_label(row.kind)

    @admin.display(description=selection.all_box("jobs"))
    def pick(self, row: Job) -> SafeString:
        """The box of a job that can be retried."""
        if row.state not in Job.GIVEN_UP:
            return SafeString("")
        return selection.box("jobs", row.pk, f"job {row.pk}")

    @admin.display(description="Subscriber")
    def person(self, row: Any) -> SafeString:
        """Whose job it is."""
        if row.person is None:
            return SafeString("–")
        return format_html(
            '<a class="fd-link" href="{}">{}</a>',
            reverse("admin:accounts_userprofile_change", args=[row.person[0]]),
            row.person[1],
        )

    @admin.display(description="Subscriber")
    def subscriber(self, row: Any) -> SafeString:
        """The same on the job's page."""
        row.person = find_people([row.pk]).get(row.pk)
        return self.person(row)

    @override
    def get_list_display(self, request: HttpRequest) -> Any:
        return ("pick", *self.list_display) if request.user.has_perm("accounts.retry_job") else self.list_display

    @admin.display(description="Due", ordering="not_before")
    def due(self, row: Job) -> SafeString | str:
        """When it may run, and what it waits for."""
        if row.state != Job.State.QUEUED:
            return "–"
        if row.parked_on:
            return f"when {row.parked_on} answers"
        return "now" if row.not_before <= clock.now() else timed(row.not_before)

    @admin.display(description="Why")
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
        job_retries.retry(form.target, **form.why)
        return f"{form.target} runs again."

    @dialog_action(
        title="Retry selected", permission="retry_job", form=RetrySelectedDialog, icon="replay", explain="Fix the cause first.",
    )  # fmt: skip
    def retry_selected(self, _request: HttpRequest, form: RetrySelectedDialog) -> str:
        return retry_or_ask(form, list(form.jobs()))

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
