"""The dialog in which staff correct the name, username or address of somebody whose account Keycloak refuses."""

from typing import Any, override

from django import forms
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.accounts.models import UserProfile
from apps.console.dialogs import ReasonDialog, dialog_action
from apps.core import addresses, attention
from apps.core.addresses import shown_email
from apps.onboarding import account_correction, names


def _text(label: str, limit: int, *, required: bool = True, help_text: str = "") -> forms.CharField:
    widget = UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"})
    return forms.CharField(label=label, max_length=limit, required=required, help_text=help_text, widget=widget)


class CorrectionDialog(ReasonDialog):
    """Shows what Keycloak refused, and asks for what the account is to be made with."""

    model = UserProfile
    form_before_template = "console/dialogs/correction.html"
    first_name = _text("First name", names.NAME_LIMIT)
    last_name = _text("Last name", names.NAME_LIMIT, required=False)
    username = _text("Username", 30)
    email = _text(
        "Email address",
        addresses.LIMIT,
        help_text="The link to set the password goes here, and nobody asks for a code: be sure that it is theirs.",
    )

    @override
    def prepare(self) -> None:
        for name in account_correction.FIELDS:
            self.fields[name].initial = getattr(self.target.user, name)
        self.fields["email"].initial = shown_email(self.target.email)

    @override
    def context(self) -> dict[str, Any]:
        items = attention.open_items().filter(cause=attention.Cause.ACCOUNT_REFUSED, key=str(self.target.pk))
        return {"refused": items.values_list("sentence", flat=True).first()}


class CorrectionActions:
    """The action, for the subscriber's ModelAdmin."""

    @dialog_action(
        title="Correct account", permission="recover_accounts", form=CorrectionDialog, icon="edit",
        explain="Change what the account is made with, and make it. Only possible until Keycloak has the account.",
        refuse=account_correction.refuse_correction,
    )  # fmt: skip
    def correct_account(self, _request: HttpRequest, form: CorrectionDialog) -> str:
        answers = {name: form.cleaned_data[name] for name in account_correction.FIELDS}
        account_correction.correct_account(form.target, answers=answers, **form.why)
        return f"The account of {answers['username']} will be made now."
