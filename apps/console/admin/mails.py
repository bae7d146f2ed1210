"""Mails: what was sent to whom. What a mail was filled in with is never shown: it may hold a code."""

from typing import Any, ClassVar, override

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from apps.console.base import ConsoleAdmin
from apps.console.columns import person_column, state_column, time_column
from apps.notifications.models import Notification


@admin.register(Notification)
class MailAdmin(ConsoleAdmin):
    list_display = ("template", "to", "person", "state_label", "asked", "sent")
    list_filter = (("state", ChoicesDropdownFilter),)
    list_select_related = ("profile__user",)
    search_by: ClassVar[dict[str, str]] = {
        "email": "to__iexact",
        "people": "profile",
        "number": "pk",
    }
    search_help_text = "Email, username or cus_…"
    fields = (
        ("template", "state_label"),
        ("to", "person"),
        "key",
        ("asked", "sent"),
        "provider_id",
        "error",
    )

    person = person_column()
    state_label = state_column()
    asked = time_column("created_at", "Requested")
    sent = time_column("sent_at", "Sent")

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Without what the mail was filled in with."""
        return super().get_queryset(request).defer("context")  # type: ignore[no-any-return]
