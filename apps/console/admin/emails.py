"""Emails: what was sent to whom. What an email was filled in with is never shown: it may hold a code."""

from typing import ClassVar

from django.contrib import admin
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from apps.console.base import ConsoleAdmin
from apps.console.columns import email_column, person_column, state_column, time_column
from apps.console.saved_views import SavedView
from apps.notifications.models import Notification

State = Notification.State
UNDELIVERED = (State.FAILED, State.UNCERTAIN)


@admin.register(Notification)
class EmailAdmin(ConsoleAdmin):
    list_display = ("template", "address", "person", "state_label", "delivered", "requested", "sent")
    list_filter = (("state", ChoicesDropdownFilter), ("delivery", ChoicesDropdownFilter))
    list_select_related = ("profile__user",)
    tabs = ("state", (State.QUEUED, State.FAILED, State.UNCERTAIN))
    views = (SavedView("undelivered", "Not delivered", lambda rows: rows.filter(state__in=UNDELIVERED)),)
    deferred = ("context",)
    list_before_template = "console/emails.html"
    personal = "email"
    search_by: ClassVar[dict[str, str]] = {
        "email": "to__icontains", "text": "to__icontains", "people": "profile", "number": "pk",
    }  # fmt: skip
    search_help_text = "Email, username or cus_…"
    fields = (
        ("template", "state_label"), ("address", "person"), "key", ("requested", "sent"), ("delivered", "told"),
        "delivery_reason", "provider_id", "error",
    )  # fmt: skip

    address = email_column("to", "To")
    person = person_column()
    state_label = state_column()
    delivered = state_column("delivery", "Delivery")
    told = time_column("delivery_at", "Told")
    requested = time_column("created_at", "Requested")
    sent = time_column("sent_at", "Sent")
