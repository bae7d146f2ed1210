"""Sync runs: what was asked for many at once, how far it is, how it went with each, and trying the failed ones again.

The dialogs that begin a run are here too; they are opened from the subscribers' list and from Drift.
"""

from typing import Any, ClassVar, override

from django.contrib import admin
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from apps.accounts.models import UserProfile
from apps.console import runs as pages
from apps.console.base import ConsoleAdmin
from apps.console.columns import badge, state_column, time_column
from apps.console.dialogs import ReasonDialog, dialog_action, find
from apps.core.errors import BadInput
from apps.core.models import AuditEntry
from apps.operations import safeguard, sync_runs
from apps.operations.models import SyncResult, SyncRun

ALL_BOX = format_html(
    '<input type="checkbox" aria-label="Select all on this page" x-on:change="{}">',
    "$el.closest('table').querySelectorAll('[name=people]').forEach(one => one.checked = $el.checked)",
)
SELECTED = 100  # at once; a page of the list has fifty
COUNTED = 2000  # of these it takes less than a second to see who would lose access


def losing(profile_ids: list[int]) -> dict[str, Any]:
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
    opener: ClassVar[dict[str, str]] = {"hx-include": "#changelist-form [name=people]"}

    def people(self) -> QuerySet[UserProfile]:
        """Who was selected: the address names them. BadInput when they are too many."""
        named = [one for one in self.request.GET.getlist("people") if one.isascii() and one.isdigit() and len(one) < 19]
        if len(named) > SELECTED:
            raise BadInput(f"At most {SELECTED} can be synced by selecting them.")
        return UserProfile.objects.filter(pk__in=[int(one) for one in named]).select_related("user").order_by("pk")

    @override
    def get_before_template_context(self, request: HttpRequest, object_id: str | None = None) -> dict[str, Any]:
        """The people, and how many would lose access."""
        try:
            found = list(self.people())
        except BadInput as refusal:
            return {"problem": refusal.message}
        return {"people": pages.plans(found)} | losing([one.pk for one in found])


class SelectActions:
    """Boxes to select subscribers by, and the action on those selected: for lists of subscribers, or of what is theirs."""

    @admin.display(description=ALL_BOX)
    def pick(self, row: Any) -> SafeString:
        """The box of a row's subscriber."""
        person = getattr(row, "profile", row)
        name = person.user.get_username()
        return format_html('<input type="checkbox" name="people" value="{}" aria-label="Select {}">', person.pk, name)

    @dialog_action(
        title="Sync selected", permission="sync_userprofile", form=SelectedDialog, icon="sync",
        explain="Re-check each of these and apply any changes. It runs as a job with a page of its own.",
    )  # fmt: skip
    def sync_selected(self, _request: HttpRequest, form: SelectedDialog) -> str:
        people = [one.pk for one in form.people()]
        if not people:
            raise BadInput("Select subscribers in the list first.")
        run = sync_runs.start_sync_run(
            people, scope=SyncRun.Scope.SELECTED, actor=form.actor, reason=form.cleaned_data["reason"]
        )
        form.leads_to = run
        return f"{run.total} will be synced."


class AgainDialog(ReasonDialog):
    """Says how many have failed."""

    model = SyncRun
    form_before_template = "console/dialogs/run_again.html"

    @override
    def get_before_template_context(self, request: HttpRequest, object_id: str | None = None) -> dict[str, Any]:
        """The number, and a few of the reasons."""
        found = sync_runs.failed_results(self.target)
        jobs_by_profile = sync_runs.jobs_of(list(found.order_by("pk")[: pages.ROWS]))
        return {"count": found.count(), "reasons": sorted({job.last_error for job in jobs_by_profile.values()})[:5]}


@admin.register(SyncRun)
class SyncRunAdmin(ConsoleAdmin):
    """The newest first. The page of one keeps itself up to date as long as something moves."""

    list_display = ("what", "scope_label", "how_far", "actor", "reason", "created")
    list_filter = (("scope", ChoicesDropdownFilter),)
    search_by: ClassVar[dict[str, str]] = {"number": "pk", "text": "actor__icontains"}
    search_help_text = "Number, or who asked"
    actions_detail: ClassVar[Any] = ["run_again"]
    change_form_outer_before_template = "console/run.html"
    fieldsets = (("Why", {"fields": (("scope_label", "created"), ("actor", "reason"))}),)

    scope_label = state_column("scope", "Who")
    created = time_column("created_at", "Requested")

    @admin.display(description="Run", ordering="pk")
    def what(self, row: SyncRun) -> str:
        return f"run {row.pk}"

    @admin.display(description="Last synced")
    def how_far(self, row: Any) -> SafeString:
        """How many of how many; the rest waits or has failed."""
        return badge("done" if not row.open else "running", f"{row.total - row.open} of {row.total}")

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With how many are not synced yet."""
        rows: QuerySet[Any] = super().get_queryset(request)
        waiting = SyncResult.objects.filter(run=OuterRef("pk"), outcome="waiting").order_by().values("run")
        counted = Subquery(waiting.annotate(count=Count("pk")).values("count"), output_field=IntegerField())
        return rows.annotate(open=Coalesce(counted, 0))  # type: ignore[no-any-return]

    @override
    def get_custom_urls(self) -> Any:
        """What moves, loaded again and again."""
        return (("<path:object_id>/progress/", "operations_syncrun_progress", self.progress_view),)

    def progress_view(self, request: HttpRequest, object_id: str, **_given: Any) -> HttpResponse:
        """How far it is and how it went with each; a fragment of the run's page."""
        run = find(SyncRun, object_id)
        if not self.has_view_permission(request, run):
            return HttpResponse(status=403)
        return render(request, "console/run_progress.html", self._shown(request, run))

    def _shown(self, request: HttpRequest, run: SyncRun) -> dict[str, Any]:
        return {"shown": pages.page(run, request.GET), "may_sync": self.has_sync_userprofile_permission(request)}

    @override
    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The page, with its progress, its people and its timeline."""
        run = self.get_object(request, str(object_id)) if object_id else None
        if run is not None and self.has_view_permission(request, run):
            lines = AuditEntry.objects.filter(subject_kind="syncrun", subject_id=str(run.pk)).order_by("-id")
            extra_context = (extra_context or {}) | self._shown(request, run) | {"entries": lines[:20]}
        answer: HttpResponse = super().changeform_view(request, object_id, form_url, extra_context)
        return answer

    @override
    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        """Nothing to do again where nobody has failed."""
        run = self.get_object(request, str(object_id))
        return super().get_actions_detail(request, object_id) if run and sync_runs.failed_results(run).exists() else []

    @dialog_action(
        title="Run the failed ones again", permission="sync_userprofile", form=AgainDialog, icon="replay",
        explain="Fix the cause first. Subscribers who are synced already are left alone.",
    )  # fmt: skip
    def run_again(self, _request: HttpRequest, form: AgainDialog) -> str:
        """From the first attempt of each."""
        count = sync_runs.retry_failed(form.target, actor=form.actor, reason=form.cleaned_data["reason"])
        return f"{count} will be retried."
