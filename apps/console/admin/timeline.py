"""The timeline of everything: who did what to whom, and why. Nothing here can be changed, not even by SQL."""

from typing import Any, ClassVar, override

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from apps.console import timeline
from apps.console.base import ConsoleAdmin, ConsoleList
from apps.console.columns import describe_actor, json_field, time_column
from apps.console.filters import DayFilter
from apps.console.saved_views import SavedView
from apps.console.search import profiles
from apps.console.templatetags.console import changes, subject
from apps.core import audit_actions
from apps.core.audit_actions import STAFF_CHANGES
from apps.core.models import AuditEntry


class HappenedDayFilter(DayFilter):
    """By the day on which it was done."""

    field = "at"


class TimelineList(ConsoleList):
    """Lines that name the subscribers they are about."""

    @override
    def get_results(self, request: HttpRequest) -> None:
        """The page's lines, with names."""
        super().get_results(request)
        self.result_list: Any = timeline.with_names(self.result_list)


@admin.register(AuditEntry)
class TimelineAdmin(ConsoleAdmin):
    """Lines, the newest first. `q=profile:12` is the timeline of one subscriber."""

    changelist_class = TimelineList
    list_display = ("what", "whom", "difference", "by", "reason", "moment")
    list_filter = (HappenedDayFilter,)
    views = (SavedView("staff", "Changed by staff", lambda rows: rows.filter(STAFF_CHANGES)),)
    search_by: ClassVar[dict[str, str]] = {"text": "actor"}
    search_help_text = "profile:12, seat:7, staff:ada, or a username"
    fieldsets = (
        (None, {"fields": (("what", "whom"), ("by", "moment"), "reason", "difference")}),
        ("As it is kept", {"fields": (("before_json", "after_json"), "request_id", ("prev_hash", "hash"))}),
    )

    moment = time_column("at", "When")
    before_json = json_field("before", "Before")
    after_json = json_field("after", "After")

    @admin.display(description="What")
    def what(self, row: AuditEntry) -> str:
        return audit_actions.action_label(row.action)

    @admin.display(description="About")
    def whom(self, row: AuditEntry) -> SafeString:
        return subject(row)

    @admin.display(description="By", ordering="actor")
    def by(self, row: AuditEntry) -> str:
        return describe_actor(row.actor)

    @admin.display(description="Changed")
    def difference(self, row: AuditEntry) -> SafeString:
        """Before and after of what differs."""
        return changes(row)

    @override
    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By subject (`kind:id`), by actor, or by a subscriber's name or id."""
        term = search_term.strip()
        kind, _, identity = term.partition(":")
        if kind in timeline.SUBJECTS and identity:
            return queryset.filter(subject_kind=kind, subject_id=identity), False
        if term in ("customer", "system") or kind in ("staff", "stripe"):
            return queryset.filter(actor=term), False
        if not term:
            return queryset, False
        people = [str(pk) for pk in profiles(term).values_list("pk", flat=True)[:100]]
        return queryset.filter(subject_kind="profile", subject_id__in=people), False
