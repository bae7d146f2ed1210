"""Attention items: what only staff can fix, whatever found it, and closing one by hand."""

from typing import Any, ClassVar, override

from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from apps.accounts.models import UserProfile
from apps.console.base import ConsoleAdmin
from apps.console.columns import badge, link, time_column
from apps.console.dialogs import ReasonDialog, dialog, dialog_action
from apps.console.filters import DefaultedFilter, DropdownOf
from apps.core import alerts, attention, audit, jobs
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.core.models import AttentionItem
from apps.core.states import Tone

PEOPLE = 50  # named on the page of an item


class OpenFilter(DefaultedFilter):
    options = (("open", "Open"), ("closed", "Closed"), ("all", "All"))

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset if self.chosen == "all" else queryset.filter(resolved_at__isnull=self.chosen == "open")


class CauseFilter(DropdownOf):
    title = "cause"
    parameter_name = "cause"
    options = tuple(attention.Cause.choices)

    @override
    def narrow(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        return rows.filter(cause=value)


@admin.register(AttentionItem)
class AttentionAdmin(ConsoleAdmin):
    few = True
    list_display = ("heading", "sentence", "affected", "times", "first", "last", "status")
    list_filter = (OpenFilter, CauseFilter)
    ordering = ("-last_at", "-pk")
    search_by: ClassVar[dict[str, str]] = {"number": "pk", "text": "cause__icontains key__icontains"}
    search_help_text = "Kind, or what it is about"
    actions_list: ClassVar[Any] = ["send_test_alert"]
    actions_detail: ClassVar[Any] = ["close"]
    fields = (("heading", "status"), "sentence", "people", ("key", "times"), ("first", "last", "ended"), "resolution")

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
        return badge("Closed") if row.resolved_at else badge("Open", Tone.WARN)

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
        title="Close", permission="retry_job", form=dialog(AttentionItem), fresh=False, icon="done",
        explain="Close it once it is dealt with. If it is found again, a new item opens.",
        refuse=lambda row: "It is closed already." if row.resolved_at else "", lock=True,
    )  # fmt: skip
    def close(self, _request: HttpRequest, form: ReasonDialog) -> str:
        attention.close(form.target, **form.why)
        return "The item is closed."
