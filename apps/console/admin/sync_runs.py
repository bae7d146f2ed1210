"""Sync runs: what was asked for many at once, how far it is, how it went with each, and trying the failed ones again.

The dialogs that begin a run are here too; they are opened from the subscribers' list and from Drift.
"""

from typing import Any, ClassVar, override

from django.contrib import admin
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from apps.accounts.models import UserProfile
from apps.console import selection
from apps.console.admin import sync_run_page
from apps.console.asking import ask, describe_limit, name_rows, needs_second
from apps.console.base import ConsoleAdmin
from apps.console.columns import badge, state_column, time_column
from apps.console.dialogs import ReasonDialog, dialog_action
from apps.core import audit
from apps.core.errors import BadInput
from apps.core.states import Tone
from apps.operations import safeguard, sync_runs
from apps.operations.models import ApprovalRequest, SyncResult, SyncRun

Action = ApprovalRequest.Action
SELECTED = 100  # at once; a page of the list has fifty
COUNTED = 2000  # of these it takes less than a second to see who would lose access


def count_losing(profile_ids: list[int]) -> dict[str, Any]:
    """How many of them would lose access, and whether somebody would have to confirm that; for the dialogs.

    Of very many it is not counted before the run does: a dialog has to open at once.
    """
    of = safeguard.count_with_access()
    if len(profile_ids) > COUNTED:
        return {"uncounted": True, "limit": safeguard.loss_limit(of)}
    found = len(safeguard.find_losing(profile_ids))
    return {"losing": found, "limit": safeguard.loss_limit(of), "too_many": safeguard.exceeds_limit(found, of)}


class SelectedDialog(ReasonDialog):
    """Shows the plan of everybody who was selected in the list, each asked of Keycloak when it comes into view."""

    form_before_template = "console/dialogs/selected.html"
    opener: ClassVar[dict[str, str]] = selection.opener("people")

    def people(self) -> QuerySet[UserProfile]:
        """Who was selected: the address names them. BadInput when they are too many."""
        too_many = f"At most {SELECTED} can be synced by selecting them."
        named = selection.read_selected(self.request, "people", most=SELECTED, too_many=too_many)
        return UserProfile.objects.filter(pk__in=named).select_related("user").order_by("pk")

    @override
    def context(self) -> dict[str, Any]:
        """The people, and how many would lose access."""
        try:
            found = list(self.people())
        except BadInput as refusal:
            return {"problem": refusal.message}
        lost = count_losing([one.pk for one in found])
        shown = {"people": sync_run_page.list_plans(found)} | lost
        return shown | (describe_limit(self, Action.SYNC_SELECTED, len(found)) if lost.get("losing") else {})


class SelectActions:
    """Boxes to select subscribers by, and the action on those selected: for lists of subscribers, or of what is theirs."""

    def with_boxes(self, request: HttpRequest, columns: Any) -> Any:
        """The columns, with the boxes in front for staff who may sync."""
        return ("pick", *columns) if request.user.has_perm("accounts.sync_userprofile") else columns

    @admin.display(description=selection.all_box("people"))
    def pick(self, row: Any) -> SafeString:
        """The box of a row's subscriber."""
        person = getattr(row, "profile", row)
        return selection.box("people", person.pk, person)

    @dialog_action(
        title="Sync selected", permission="sync_userprofile", form=SelectedDialog, icon="sync",
        explain="Re-check each of these and apply any changes. It runs as a job with a page of its own.",
    )  # fmt: skip
    def sync_selected(self, _request: HttpRequest, form: SelectedDialog) -> str:
        people = [one.pk for one in form.people()]
        if not people:
            raise BadInput("Select subscribers in the list first.")
        if sync_runs.needs_second(people, scope=SyncRun.Scope.SELECTED, actor=form.actor):
            return ask(form, Action.SYNC_SELECTED, subject=name_rows(people), row_ids=people)
        form.leads_to = run = sync_runs.start_sync_run(people, scope=SyncRun.Scope.SELECTED, **form.why)
        return f"{run.total} will be synced."


def list_failures(run: SyncRun) -> dict[str, Any]:
    """How many have failed, and a few of the reasons."""
    found = sync_runs.failed_results(run)
    jobs_by_profile = sync_runs.jobs_of(list(found.order_by("pk")[: sync_run_page.ROWS]))
    count, reasons = found.count(), sorted({job.last_error for job in jobs_by_profile.values()})[:5]
    return {"count": count, "reasons": reasons}


class RunAgainDialog(ReasonDialog):
    """Shows whose sync failed, and why."""

    model = SyncRun
    form_before_template = "console/dialogs/run_again.html"

    @override
    def context(self) -> dict[str, Any]:
        shown = list_failures(self.target)
        return shown | describe_limit(self, Action.SYNC_FAILED, shown["count"])


@admin.register(SyncRun)
class SyncRunAdmin(ConsoleAdmin):
    """The newest first. The page of one keeps itself up to date as long as something moves."""

    few = True
    list_display = ("what", "scope_label", "how_far", "actor", "reason", "created")
    list_filter = (("scope", ChoicesDropdownFilter),)
    search_by: ClassVar[dict[str, str]] = {"number": "pk", "text": "actor__icontains"}
    search_help_text = "Number, or who asked"
    actions_detail: ClassVar[Any] = ["run_again"]
    change_form_outer_before_template = "console/run.html"
    fragments: ClassVar[dict[str, str]] = {"progress": "progress_view"}
    fieldsets = (("Why", {"fields": (("scope_label", "created"), ("actor", "reason"))}),)

    scope_label = state_column("scope", "Who")
    created = time_column("created_at", "Requested")

    @admin.display(description="Run", ordering="pk")
    def what(self, row: SyncRun) -> str:
        return f"run {row.pk}"

    @admin.display(description="Last synced")
    def how_far(self, row: Any) -> SafeString:
        """How many of how many; the rest waits or has failed."""
        return badge(f"{row.total - row.open} of {row.total}", Tone.BUSY if row.open else Tone.GOOD)

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With how many are not synced yet."""
        rows: QuerySet[Any] = super().get_queryset(request)
        waiting = SyncResult.objects.filter(run=OuterRef("pk"), outcome="waiting").order_by().values("run")
        counted = Subquery(waiting.annotate(count=Count("pk")).values("count"), output_field=IntegerField())
        return rows.annotate(open=Coalesce(counted, 0))  # type: ignore[no-any-return]

    def progress_view(self, request: HttpRequest, run: SyncRun) -> HttpResponse:
        """How far it is and how it went with each: what moves, loaded again and again."""
        return render(request, "console/run_progress.html", self._progress(request, run))

    def _progress(self, request: HttpRequest, run: SyncRun) -> dict[str, Any]:
        shown = sync_run_page.read_page(run, request.GET)
        return {"shown": shown, "may_sync": self.has_sync_userprofile_permission(request)}

    @override
    def page_context(self, request: HttpRequest, row: SyncRun) -> dict[str, Any]:
        entries = audit.entries_about(("syncrun", row.pk)).order_by("-id")
        return self._progress(request, row) | {"entries": entries[:20]}

    @dialog_action(
        title="Run the failed ones again", permission="sync_userprofile", form=RunAgainDialog,
        icon="replay", refuse=lambda run: "" if sync_runs.failed_results(run).exists() else "Nobody in this run has failed.",
        explain="Fix the cause first. Subscribers who are synced already are left alone.",
    )  # fmt: skip
    def run_again(self, _request: HttpRequest, form: ReasonDialog) -> str:
        """From the first attempt of each."""
        if needs_second(form, Action.SYNC_FAILED, sync_runs.failed_results(form.target).count()):
            return ask(form, Action.SYNC_FAILED, subject=f"run:{form.target.pk}", terms={"run": form.target.pk})
        count = sync_runs.retry_failed(form.target, **form.why)
        return f"{count} will be retried."
