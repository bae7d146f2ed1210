"""Runs through the wizard, which brought the subscribers."""

from typing import ClassVar

from django.contrib import admin
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from apps.accounts.models import Signup
from apps.console.base import ConsoleAdmin
from apps.console.columns import email_column, json_field, person_column, state_column, time_column


@admin.register(Signup)
class SignupAdmin(ConsoleAdmin):
    """Runs through the wizard, the newest first."""

    list_display = ("name", "address", "state_label", "interval", "person", "created", "ended")
    list_filter = (("state", ChoicesDropdownFilter), ("interval", ChoicesDropdownFilter))
    list_select_related = ("profile__user",)
    personal = "signup"
    tabs = ("state", tuple(Signup.State))
    ordering = ("-created_at",)
    search_by: ClassVar[dict[str, str]] = {
        "uuid": "pk", "session": "checkout_session_id", "email": "email__icontains",
        "text": "username__icontains email__icontains first_name__icontains last_name__icontains",
    }  # fmt: skip
    search_help_text = "Any part of a name or address, cs_… or signup id"
    fieldsets = (
        (None, {"fields": ("id", "state_label", "person", ("first_name", "last_name"), ("username", "address"), "email_proven")}),
        ("Order", {"fields": (("interval", "basket_lines"), ("terms_version", "terms_accepted", "asked_to_begin"))}),
        ("Checkout", {"fields": (("checkout_session_id", "checkout_number"), "checkout_expires", ("created", "ended"))}),
    )  # fmt: skip

    address = email_column()
    state_label = state_column()
    person = person_column()
    created = time_column("created_at", "Began")
    ended = time_column("ended_at", "Ended")
    email_proven = time_column("email_proven_at", "Address proven")
    terms_accepted = time_column("terms_accepted_at", "Terms accepted")
    asked_to_begin = time_column("asked_to_begin_at", "Asked to begin at once")
    checkout_expires = time_column("checkout_expires_at", "Checkout ends")
    basket_lines = json_field("basket", "Basket")

    @admin.display(description="Name")
    def name(self, row: Signup) -> str:
        """The name given so far, or the start of the id."""
        return row.username or f"signup {str(row.pk)[:8]}"
