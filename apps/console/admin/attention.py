"""Attention items: what only staff can fix, whatever found it; assigning, snoozing, ignoring and closing one by hand."""

from typing import Any, ClassVar, override

from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from apps.accounts.models import UserProfile
from apps.console.admin.problem_actions import AssignDialog, ProblemActions, chosen_assignee, until_field
from apps.console.base import ConsoleAdmin
from apps.console.columns import badge, link, time_column
from apps.console.dialogs import ReasonDialog, dialog, dialog_action
from apps.console.filters import DefaultedFilter, DropdownOf
from apps.console.saved_views import PARAMETER, SavedView
from apps.core import alerts, attention, audit, clock, jobs
from apps.core.audit_actions import AuditAction
from apps.core.dates import last_day
from apps.core.errors import BadInput
from apps.core.models import AttentionItem
from apps.core.states import Tone

PEOPLE = 50  # named on the page of an item


class OpenFilter(DefaultedFilter):
    """Begins with what the inbox has; a saved view says itself which rows it is about."""

    options = (("open", "Needs attention"), ("closed", "Closed"), ("all", "All"))

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.chosen == "all" or (self.value() is None and request.GET.get(PARAMETER)):
            return queryset
        if self.chosen == "closed":
            return queryset.filter(resolved_at__isnull=False)
        return queryset.filter(pk__in=attention.needing_staff().order_by())


class AssigneeFilter(DropdownOf):
    """By who of staff deals with it."""

    title, parameter_name = "assigned to", "assigned"
    options = (("me", "Me"), ("nobody", "Nobody"), ("somebody", "Somebody"))

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        self.me = request.user.get_username()
        super().__init__(request, *args)

    @override
    def narrow(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        if value == "somebody":
            return rows.exclude(assignee="")
        return rows.filter(assignee=self.me if value == "me" else "")


class CauseFilter(DropdownOf):
    title = "cause"
    parameter_name = "cause"
    options = tuple(attention.Cause.choices)

    @override
    def narrow(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        return rows.filter(cause=value)


class AssignItemDialog(AssignDialog):
    model = AttentionItem


def refuse_closed(row: AttentionItem) -> str:
    return "It is closed already." if row.resolved_at else ""


def is_snoozed(row: AttentionItem) -> bool:
    return row.snoozed_until is not None and row.snoozed_until > clock.now()


def _only(row: AttentionItem) -> QuerySet[AttentionItem]:
    return AttentionItem.objects.filter(pk=row.pk)


@admin.register(AttentionItem)
class AttentionAdmin(ProblemActions, ConsoleAdmin):
    few = True
    list_display = ("heading", "sentence", "affected", "times", "first", "last", "status", "assigned")
    list_filter = (OpenFilter, CauseFilter, AssigneeFilter)
    views = (
        SavedView("assigned", "Assigned", lambda rows: rows.filter(pk__in=attention.needing_staff().order_by()).exclude(assignee="")),
        SavedView("snoozed", "Snoozed", lambda rows: rows.filter(resolved_at=None, ignored_at=None, snoozed_until__gt=clock.now())),
        SavedView("ignored", "Ignored", lambda rows: rows.filter(resolved_at=None, ignored_at__isnull=False)),
    )  # fmt: skip
    ordering = ("-last_at", "-pk")
    search_by: ClassVar[dict[str, str]] = {"number": "pk", "text": "cause__icontains key__icontains"}
    search_help_text = "Kind, or what it is about"
    actions_list: ClassVar[Any] = ["send_test_alert", *ProblemActions.problem_actions]
    actions_detail: ClassVar[Any] = ["assign", "snooze", "ignore_item", "bring_back", "close"]
    fields = (
        ("heading", "status"), "sentence", "people", ("key", "times"), ("first", "last", "ended"), "assigned", "decision", "resolution",
    )  # fmt: skip

    first = time_column("first_at", "First found")
    last = time_column("last_at", "Last found")
    ended = time_column("resolved_at", "Closed")

    @admin.display(description="What", ordering="cause")
    def heading(self, row: AttentionItem) -> str:
        return attention.cause_label(row.cause)

    @admin.display(description="Subscribers")
    def affected(self, row: AttentionItem) -> str:
        return str(len(row.profile_ids) or "–")

    @admin.display(description="Affects")
    def people(self, row: AttentionItem) -> SafeString:
        found = UserProfile.objects.select_related("user").filter(pk__in=row.profile_ids[:PEOPLE])
        return format_html_join(", ", "{}", ((link(one),) for one in found)) or SafeString("–")

    @admin.display(description="Status")
    def status(self, row: AttentionItem) -> SafeString:
        if row.resolved_at:
            return badge("Closed")
        if row.ignored_at:
            return badge("Ignored")
        if is_snoozed(row):
            return badge(f"Snoozed until the end of {last_day(row.snoozed_until)}")
        return badge("Open", Tone.WARN)

    @admin.display(description="Assigned to", ordering="assignee")
    def assigned(self, row: AttentionItem) -> str:
        return row.assignee or "–"

    @override
    def get_actions_list(self, request: HttpRequest) -> Any:
        """Without those that need a problem: the inbox opens them."""
        found = super().get_actions_list(request)
        return [one for one in found if not one.action_name.endswith(self.problem_actions)]

    @dialog_action(
        title="Send a test alert", permission="retry_job", fresh=False, icon="notifications_active",
        explain="Sends one message to each address in ALERT_URLS now.",
    )  # fmt: skip
    def send_test_alert(self, _request: HttpRequest, form: ReasonDialog) -> str:
        if not settings.ALERT_URLS:
            raise BadInput("ALERT_URLS is empty: no alert leaves Frontdesk.")
        job = jobs.defer(alerts.TEST, form.actor, reason=f"asked by {form.actor}")
        audit.record(subject=("job", job), action=AuditAction.TEST_ALERT_REQUESTED, **form.why)
        return "The test alert is on its way."

    @dialog_action(
        title="Assign", permission="retry_job", form=AssignItemDialog, fresh=False, icon="person", refuse=refuse_closed, lock=True,
    )  # fmt: skip
    def assign(self, _request: HttpRequest, form: AssignItemDialog) -> str:
        who = chosen_assignee(form)
        attention.assign(_only(form.target), assignee=who, **form.why)
        return f"Assigned to {who or 'nobody'}."

    @dialog_action(
        title="Snooze", permission="retry_job", form=dialog(AttentionItem, until=until_field()), fresh=False, icon="snooze",
        refuse=refuse_closed, lock=True, explain="It leaves the inbox until that day is over, also when it is found again.",
    )  # fmt: skip
    def snooze(self, _request: HttpRequest, form: ReasonDialog) -> str:
        until = form.cleaned_data["until"]
        attention.snooze(_only(form.target), until=until, **form.why)
        return f"Snoozed until the end of {last_day(until)}."

    @dialog_action(
        title="Ignore", permission="retry_job", form=dialog(AttentionItem), fresh=False, icon="notifications_off", lock=True,
        refuse=lambda row: refuse_closed(row) or ("It is ignored already." if row.ignored_at else ""),
        explain="It leaves the inbox until what found it says that all is well.",
    )  # fmt: skip
    def ignore_item(self, _request: HttpRequest, form: ReasonDialog) -> str:
        attention.ignore(_only(form.target), **form.why)
        return "The item is ignored."

    @dialog_action(
        title="Bring back", permission="retry_job", form=dialog(AttentionItem), fresh=False, icon="undo", lock=True,
        refuse=lambda row: refuse_closed(row) or ("" if row.ignored_at or is_snoozed(row) else "It is in the inbox."),
    )  # fmt: skip
    def bring_back(self, _request: HttpRequest, form: ReasonDialog) -> str:
        attention.bring_back(_only(form.target), **form.why)
        return "The item is back in the inbox."

    @dialog_action(
        title="Close", permission="retry_job", form=dialog(AttentionItem), fresh=False, icon="done",
        explain="Close it once it is dealt with. If it is found again, a new item opens.",
        refuse=refuse_closed, lock=True,
    )  # fmt: skip
    def close(self, _request: HttpRequest, form: ReasonDialog) -> str:
        attention.close(form.target, **form.why)
        return "The item is closed."
