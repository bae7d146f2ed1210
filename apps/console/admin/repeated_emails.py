"""Sending emails again: the dialog that shows to whom and what, for one email or those selected in the list."""

from collections.abc import Iterable
from typing import Any, ClassVar, override

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from apps.access.repeated_emails import Repetition, plan_repetition, send_again
from apps.console import selection
from apps.console.asking import ask, describe_limit, name_rows, needs_second
from apps.console.dialogs import ReasonDialog, dialog_action
from apps.core.addresses import shown_email
from apps.core.errors import BadInput
from apps.notifications.email_list import email_title, kind_of
from apps.notifications.email_templates import render_email
from apps.notifications.models import Notification
from apps.operations.emails_again import send_each_again
from apps.operations.models import ApprovalRequest

SELECTED = 50  # at once: a page of the list
NONE = "No email is selected. Select some with the checkboxes in the list first."
EXPLAIN = "It goes to the subscriber's present address, says what is true today, and is an email of its own."


def describe(planned: Iterable[Repetition]) -> dict[str, Any]:
    """For the dialog: each email, to whom it goes and how it reads, or why it is skipped."""
    shown = [_describe(one) for one in planned]
    return {"planned": shown, "sent": sum(not one["refusal"] for one in shown)}


def _describe(one: Repetition) -> dict[str, str]:
    profile, template = one.email.profile, one.email.template
    found = {"title": email_title(template), "refusal": one.refusal, "to": profile.email if profile else one.email.to}
    if one.refusal or profile is None:
        return found
    email = render_email(template, one.values)
    return found | {"subject": email.subject, "text": email.text, "problem": profile.email_problem}


class RepeatEmailDialog(ReasonDialog):
    """About the email whose page it is opened from."""

    form_before_template = "console/dialogs/send_again.html"
    model = Notification

    @override
    def context(self) -> dict[str, Any]:
        return describe([plan_repetition(self.target)])


class RepeatSelectedDialog(ReasonDialog):
    """About those selected in the list, which the address names."""

    form_before_template = "console/dialogs/send_again.html"
    opener: ClassVar[dict[str, str]] = selection.opener("emails")

    def emails(self) -> QuerySet[Notification]:
        """Those selected, the oldest first. BadInput when there is none, or they are too many."""
        too_many = f"At most {SELECTED} can be sent again at once."
        named = selection.read_selected(self.request, "emails", most=SELECTED, too_many=too_many)
        found = Notification.objects.filter(pk__in=named).order_by("pk")
        if not found:
            raise BadInput(NONE)
        return found.select_related("profile__user", "repeats")

    @override
    def context(self) -> dict[str, Any]:
        try:
            found = list(self.emails())
        except BadInput as refusal:
            return {"problem": refusal.message}
        planned = describe(plan_repetition(one) for one in found)
        return planned | describe_limit(self, ApprovalRequest.Action.SEND_EMAILS_AGAIN, len(found))


class SendAgainActions:
    """Boxes to select emails by, and the two actions."""

    def with_boxes(self, request: HttpRequest, columns: Any) -> Any:
        """The columns, with the boxes in front for staff who may send."""
        return ("pick", *columns) if request.user.has_perm("accounts.mail_userprofile") else columns

    @admin.display(description=selection.all_box("emails"))
    def pick(self, row: Notification) -> SafeString:
        """The box of an email that can be sent again."""
        if row.profile_id is None or kind_of(row.template).not_again:
            return SafeString("")
        return selection.box("emails", row.pk, f"email {row.pk}")

    @dialog_action(
        title="Send again", permission="mail_userprofile", form=RepeatEmailDialog, fresh=False, icon="forward_to_inbox", explain=EXPLAIN,
        refuse=lambda row: "It belongs to no subscriber." if row.profile_id is None else kind_of(row.template).not_again,
    )  # fmt: skip
    def send_one_again(self, _request: HttpRequest, form: RepeatEmailDialog) -> str:
        form.leads_to = sent = send_again(form.target, **form.why)
        return f"“{email_title(sent.template)}” is sent to {shown_email(sent.to)} again."

    @dialog_action(
        title="Send selected again", permission="mail_userprofile", form=RepeatSelectedDialog, icon="forward_to_inbox", explain=EXPLAIN,
    )  # fmt: skip
    def send_selected_again(self, _request: HttpRequest, form: RepeatSelectedDialog) -> str:
        """Each that can be; the others are counted, with the first reason."""
        found, action = list(form.emails()), ApprovalRequest.Action.SEND_EMAILS_AGAIN
        if needs_second(form, action, len(found)):
            ids = [one.pk for one in found]
            return ask(form, action, subject=name_rows(ids), row_ids=ids)
        return send_each_again(found, **form.why)
