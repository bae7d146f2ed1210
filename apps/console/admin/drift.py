"""Drift: where Keycloak differs from what it should say, since when, and what to do about it."""

from typing import Any, ClassVar, override

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldBooleanSwitchWidget

from apps.console.admin.sync_runs import SelectActions, count_losing
from apps.console.asking import ask, describe_limit, needs_second
from apps.console.base import ConsoleAdmin
from apps.console.columns import badge, person_column, state_column, time_column, when_over
from apps.console.dialogs import LastDayField, ReasonDialog, dialog, dialog_action
from apps.console.filters import DefaultedFilter
from apps.core import audit, clock, jobs
from apps.core.addresses import shown_email
from apps.core.audit_actions import AuditAction
from apps.core.dates import last_day
from apps.core.errors import BadInput
from apps.core.states import Tone
from apps.operations import drift, sync_runs
from apps.operations.models import ApprovalRequest, Drift, SyncRun

PLANS = 20  # of those that differ, shown before they are synced


class FixDialog(ReasonDialog):
    """Shows the rule and the steps first."""

    model = Drift
    form_before_template = "console/dialogs/drift.html"
    write_back = forms.BooleanField(
        required=False,
        label="Restore our email in Keycloak",
        help_text="Otherwise Frontdesk takes over Keycloak's verified email.",
        widget=UnfoldBooleanSwitchWidget,
    )

    @override
    def prepare(self) -> None:
        if self.target.kind != Drift.Kind.EMAIL:
            del self.fields["write_back"]

    @override
    def context(self) -> dict[str, Any]:
        return {"rule": drift.RULES[self.target.kind]}


class SyncAllDialog(ReasonDialog):
    """Says how many there are, what would be done to the first of them, and how many would lose access."""

    form_before_template = "console/dialogs/drift_all.html"

    @override
    def context(self) -> dict[str, Any]:
        """The people, the steps as found last, and how many differences are not of this kind."""
        people = differing()
        first = open_drift().filter(kind__in=OF_ACCESS).select_related("profile__user").order_by("pk")
        return (
            {
                "count": len(people),
                "others": open_drift().exclude(kind__in=OF_ACCESS).count(),
                "first": first[:PLANS],
            }
            | count_losing(people)
            | describe_limit(self, ApprovalRequest.Action.SYNC_DIFFERING, len(people))
        )


OF_ACCESS = (Drift.Kind.ACCESS, Drift.Kind.DISABLED)


def differing() -> list[int]:
    """The profiles whose access differs now, and is not left so by staff."""
    return sorted(set(open_drift().filter(kind__in=OF_ACCESS).values_list("profile_id", flat=True)))


def open_drift() -> QuerySet[Drift]:
    """What is different now, and not ignored."""
    return _narrow_to_open(Drift.objects.all())


def _narrow_to_open(rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows.filter(Q(ignored_until__isnull=True) | Q(ignored_until__lte=clock.now()), resolved_at__isnull=True)


class OpenDriftFilter(DefaultedFilter):
    options = (("now", "Different now"), ("ignored", "Ignored"), ("resolved", "Resolved"), ("all", "All"))

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.chosen:
            case "resolved":
                return queryset.filter(resolved_at__isnull=False)
            case "ignored":
                return queryset.filter(resolved_at__isnull=True, ignored_until__gt=clock.now())
            case "all":
                return queryset
        return _narrow_to_open(queryset)


def refuse_resolved(row: Drift) -> str:
    return "This difference is already resolved." if row.resolved_at else ""


@admin.register(Drift)
class DriftAdmin(SelectActions, ConsoleAdmin):
    """The list, the newest first; comparing changes nothing, fixing does what the kind's rule says."""

    list_display = ("what", "person", "kind_label", "proposal", "first_seen", "last_seen", "is_now")
    list_display_links = ("what",)
    list_filter = (OpenDriftFilter, "kind")
    list_select_related = ("profile__user",)
    search_by: ClassVar[dict[str, str]] = {"people": "profile", "number": "pk"}
    search_help_text = "Username, email or cus_…"
    actions_list: ClassVar[Any] = ["compare_now", "sync_selected", "sync_differing"]
    actions_detail: ClassVar[Any] = ["fix", "ignore"]
    fields = (
        "person",
        ("kind_label", "is_now"),
        "rule",
        "value",
        "proposal",
        ("first_seen", "last_seen", "resolved"),
    )

    person = person_column()
    kind_label = state_column("kind", "What")
    first_seen = time_column("first_seen_at", "First seen")
    last_seen = time_column("last_seen_at", "Last seen")
    resolved = time_column("resolved_at", "Resolved")

    @admin.display(description="Drift", ordering="pk")
    def what(self, row: Drift) -> str:
        return f"drift {row.pk}"

    @admin.display(description="Fix")
    def proposal(self, row: Drift) -> SafeString:
        """The steps, as found last."""
        return format_html(
            '<ul class="fd-steps">{}</ul>', format_html_join("", "<li>{}</li>", ((s,) for s in row.steps))
        )

    @admin.display(description="In Keycloak")
    def value(self, row: Drift) -> str:
        return shown_email(row.keycloak_value) or "–"

    @admin.display(description="The rule")
    def rule(self, row: Drift) -> str:
        """What the fix does, and what happens without it."""
        return drift.RULES[row.kind]

    @admin.display(description="Status")
    def is_now(self, row: Drift) -> SafeString:
        """Different, ignored or resolved."""
        if row.resolved_at:
            return badge("Resolved")
        if row.ignored_until and row.ignored_until > clock.now():
            return badge(f"Ignored until {when_over(row.ignored_until)}")
        return badge("Different", Tone.WARN)

    @override
    def get_list_display(self, request: HttpRequest) -> Any:
        return self.with_boxes(request, self.list_display)

    @dialog_action(title="Fix", permission="sync_userprofile", form=FixDialog, icon="build", refuse=refuse_resolved)
    def fix(self, _request: HttpRequest, form: FixDialog) -> str:
        """By the rule of its kind."""
        return drift.fix_drift(form.target, write_back=bool(form.cleaned_data.get("write_back")), **form.why)

    @dialog_action(
        title="Ignore until", permission="override_access", icon="notifications_paused", refuse=refuse_resolved,
        form=dialog(Drift, until=LastDayField(help_text="The last day on which it is ignored.")),
        explain="It is ignored and not listed until then. Billing changes still apply.",
    )  # fmt: skip
    def ignore(self, _request: HttpRequest, form: ReasonDialog) -> str:
        until = form.cleaned_data["until"]
        drift.ignore_drift(form.target, until=until, **form.why)
        return f"Ignored until the end of {last_day(until)}."

    @dialog_action(
        title="Compare now", permission="sync_userprofile", fresh=False, icon="compare_arrows",
        explain="Compare every subscriber with Keycloak now. Nothing is changed but this list.",
    )  # fmt: skip
    def compare_now(self, _request: HttpRequest, form: ReasonDialog) -> str:
        job = jobs.defer(drift.KIND, "asked", reason=f"asked by {form.actor}")
        audit.record(subject=("job", job), action=AuditAction.COMPARISON_REQUESTED, **form.why)
        return "The comparison has started. Reload this page in a while."

    @dialog_action(
        title="Fix all drift", permission="override_access", form=SyncAllDialog, icon="build_circle",
        explain="Syncs everyone whose access differs and is not ignored. It runs as a job with a page of its own.",
    )  # fmt: skip
    def sync_differing(self, _request: HttpRequest, form: SyncAllDialog) -> str:
        """One run over all of them."""
        people = differing()
        if not people:
            raise BadInput("No drift in access.")
        if needs_second(form, ApprovalRequest.Action.SYNC_DIFFERING, len(people)):
            return ask(form, ApprovalRequest.Action.SYNC_DIFFERING, subject="all", row_ids=people)
        form.leads_to = run = sync_runs.start_sync_run(people, scope=SyncRun.Scope.DIFFERING, **form.why)
        return f"{run.total} will be synced."
