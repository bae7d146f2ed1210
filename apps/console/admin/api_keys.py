"""The keys of the customer API: made here, shown once, listed by their first letters, and revoked."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import SafeString
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from apps.console.base import ConsoleAdmin
from apps.console.columns import address, badge, describe_actor, time_column, timed
from apps.console.dialogs import LastDayField, ReasonDialog, dialog, dialog_action
from apps.core import clock
from apps.core.states import Tone
from apps.operations.api import keys
from apps.operations.models import CustomerApiKey

# The dialog itself is replaced, its button included: a second click must not make a second key.
IN_PLACE_OF_DIALOG = {"HX-Retarget": "#dialog", "HX-Reselect": "#dialog", "HX-Reswap": "outerHTML"}


class MakeDialog(ReasonDialog):
    form_before_template = "console/dialogs/api_key.html"
    name = forms.CharField(
        label="Which system", max_length=80, help_text="Such as CRM or support desk. One key for each.",
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )  # fmt: skip
    scopes = forms.MultipleChoiceField(
        label="It may also read",
        required=False,
        choices=[(one.value, one.label) for one in CustomerApiKey.Scope if one != CustomerApiKey.Scope.READ],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="Every key reads access, plans, seats and dates, by number.",
    )
    networks = forms.CharField(
        label="Only from", required=False, max_length=1_000,
        help_text="Networks or addresses, one in a line, such as 192.0.2.0/24. Empty: from anywhere.",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
    )  # fmt: skip
    expires_at = LastDayField(label="Last day", help_text=f"At most {keys.LONGEST_DAYS:,} days from now.")

    def clean_networks(self) -> list[str]:
        """Each line that says something."""
        return [line.strip() for line in str(self.cleaned_data["networks"]).splitlines() if line.strip()]


def show_key(request: HttpRequest, key: CustomerApiKey, text: str) -> HttpResponse:
    """The dialog with the key, in this answer alone."""
    context = {"key": key, "text": text, "page": address(key)}
    answer = render(request, "console/dialogs/api_key_made.html", context)
    for name, value in IN_PLACE_OF_DIALOG.items():
        answer.headers[name] = value
    return answer


@admin.register(CustomerApiKey)
class ApiKeyAdmin(ConsoleAdmin):
    few = True
    list_display = ("what", "name", "status", "scope_list", "network_list", "used", "ends", "made_by")
    search_by: ClassVar[dict[str, str]] = {"number": "pk", "text": "name__icontains"}
    search_help_text = "Number, or the name"
    actions_list: ClassVar[Any] = ["make_key"]
    actions_detail: ClassVar[Any] = ["revoke"]
    fields = (
        ("what", "name", "status"),
        "scope_list",
        "network_list",
        ("used", "ends"),
        ("made", "made_by"),
        ("revoked", "ended_by"),
    )

    used = time_column("last_used_at", "Last used")
    made = time_column("created_at", "Made")
    revoked = time_column("revoked_at", "Revoked")

    @admin.display(description="Key", ordering="pk")
    def what(self, row: CustomerApiKey) -> str:
        return f"fdk_{row.prefix}_…"

    @admin.display(description="Status")
    def status(self, row: CustomerApiKey) -> SafeString:
        if row.revoked_at:
            return badge("Revoked")
        return badge("Expired") if row.expires_at <= clock.now() else badge("Valid", Tone.GOOD)

    @admin.display(description="May read")
    def scope_list(self, row: CustomerApiKey) -> str:
        return ", ".join(row.scopes)

    @admin.display(description="Only from")
    def network_list(self, row: CustomerApiKey) -> str:
        return ", ".join(row.networks) or "anywhere"

    @admin.display(description="Valid until", ordering="expires_at")
    def ends(self, row: CustomerApiKey) -> SafeString:
        return timed(row.expires_at, is_end=True)

    @admin.display(description="Made by")
    def made_by(self, row: CustomerApiKey) -> str:
        return describe_actor(row.created_by)

    @admin.display(description="Revoked by")
    def ended_by(self, row: CustomerApiKey) -> str:
        return describe_actor(row.revoked_by) if row.revoked_by else "–"

    @dialog_action(title="Make an API key", permission="manage_api_keys", form=MakeDialog, icon="key")
    def make_key(self, request: HttpRequest, form: MakeDialog) -> str:
        """Make it, and show it in place of the dialog."""
        data = form.cleaned_data
        terms = {name: data[name] for name in ("name", "scopes", "networks", "expires_at")}
        key, text = keys.make_key(**terms, **form.why)
        form.shown_once = show_key(request, key, text)
        return f"{key} was made."

    @dialog_action(
        title="Revoke", permission="manage_api_keys", icon="key_off", danger=True, lock=True, refuse=keys.refuse_revoking,
        form=dialog(CustomerApiKey),
        explain="The key stops working at once and for good. The system that uses it needs a new one.",
    )  # fmt: skip
    def revoke(self, _request: HttpRequest, form: ReasonDialog) -> str:
        keys.revoke_key(form.target, **form.why)
        return f"{form.target} was revoked."
