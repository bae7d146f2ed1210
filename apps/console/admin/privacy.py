"""Privacy requests by the day they are due, and legal holds. Both are made on the subscriber's page, and closed here."""

from typing import Any, ClassVar, override

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.widgets import UnfoldAdminSelectWidget

from apps.accounts import legal_holds
from apps.accounts.models import LegalHold, PrivacyRequest
from apps.console.base import ConsoleAdmin
from apps.console.columns import badge, person_column, state_badge, time_column
from apps.console.dialogs import ReasonDialog, dialog, dialog_action
from apps.console.saved_views import SavedView
from apps.core import clock
from apps.core.states import Tone
from apps.operations import privacy_requests

State = PrivacyRequest.State
VIEWS = (
    SavedView("open", "Open", lambda rows: rows.filter(state=State.OPEN), ("due_on", "-pk")),
    SavedView("due", "Due in 7 days, or late", privacy_requests.due_soon, ("due_on", "-pk")),
    SavedView("held", "Under a legal hold", privacy_requests.under_hold, ("due_on", "-pk")),
    SavedView("done", "Done", lambda rows: rows.filter(state=State.DONE)),
)
HOLD_VIEWS = (
    SavedView("in_force", "In force", lambda rows: rows.filter(ended_at=None)),
    SavedView("ended", "Ended", lambda rows: rows.exclude(ended_at=None)),
)
ANSWERS = [(State.DONE.value, "Done: the copy was handed over"), (State.REFUSED.value, "Refused, with the reason told"),
           (State.WITHDRAWN.value, "Withdrawn by the subscriber")]  # fmt: skip


def due_badge(row: PrivacyRequest) -> SafeString:
    """The last day to answer, and how urgent that is while the request is open."""
    text = f"{row.due_on:%-d %b %Y}"
    left = (row.due_on - clock.now().date()).days
    if row.state != State.OPEN or left > privacy_requests.SOON.days:
        return format_html("{}", text)
    words = "late" if left < 0 else "today" if left == 0 else f"{left} day{'' if left == 1 else 's'} left"
    return badge(f"{text}, {words}", Tone.BAD if left < 0 else Tone.WARN)


def refuse_closed(row: PrivacyRequest) -> str:
    return "" if row.state == State.OPEN else "This request is closed already."


class CloseDialog(ReasonDialog):
    """What was answered. A request to be erased is done by erasing."""

    model = PrivacyRequest
    state = forms.ChoiceField(label="Answer", choices=ANSWERS, widget=UnfoldAdminSelectWidget())

    @override
    def prepare(self) -> None:
        field: Any = self.fields["state"]
        if self.target.kind == PrivacyRequest.Kind.ERASURE:
            field.choices = ANSWERS[1:]
            field.help_text = "It is done once the person is erased, on their page."


@admin.register(PrivacyRequest)
class PrivacyRequestAdmin(ConsoleAdmin):
    few = True
    list_display = ("what", "person", "kind_label", "status", "received", "due", "closed", "closed_by")
    list_filter = (("kind", ChoicesDropdownFilter),)
    list_select_related = ("profile__user",)
    ordering = ("due_on", "-pk")
    views = VIEWS
    search_by: ClassVar[dict[str, str]] = {"people": "profile", "number": "pk"}
    search_help_text = "Username, email or cus_…"
    actions_detail: ClassVar[Any] = ["close_request"]
    fields = (
        "person", ("kind_label", "status"), ("received", "due"), ("opened_by", "opened", "note"), ("closed_by", "closed", "outcome"),
    )  # fmt: skip

    person = person_column()
    opened = time_column("opened_at", "Recorded")
    closed = time_column("closed_at", "Answered")

    @admin.display(description="Request", ordering="pk")
    def what(self, row: PrivacyRequest) -> str:
        return str(row)

    @admin.display(description="Asked for", ordering="kind")
    def kind_label(self, row: PrivacyRequest) -> str:
        return str(row.get_kind_display())

    @admin.display(description="State", ordering="state")
    def status(self, row: Any) -> SafeString:
        """Its state; an open one that a legal hold keeps from being done says so."""
        is_kept = row.state == State.OPEN and row.kind == PrivacyRequest.Kind.ERASURE and row.is_held
        return badge("Legal hold", Tone.WARN) if is_kept else state_badge(row)

    @admin.display(description="Received", ordering="received_on")
    def received(self, row: PrivacyRequest) -> str:
        return f"{row.received_on:%-d %b %Y}"

    @admin.display(description="Due", ordering="due_on")
    def due(self, row: PrivacyRequest) -> SafeString:
        return due_badge(row)

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With whether a legal hold keeps the person's data."""
        return privacy_requests.with_holds(super().get_queryset(request))

    @dialog_action(
        title="Close request", permission="record_privacy_request", form=CloseDialog, icon="task_alt", fresh=False, refuse=refuse_closed,
        explain="Write down what was answered. It stays in the list as proof.",
    )  # fmt: skip
    def close_request(self, _request: HttpRequest, form: CloseDialog) -> str:
        privacy_requests.close(form.target, state=form.cleaned_data["state"], **form.why)
        return f"Request {form.target.pk} is closed."


@admin.register(LegalHold)
class LegalHoldAdmin(ConsoleAdmin):
    few = True
    list_display = ("what", "person", "status", "reason", "set_by", "since", "ended_by", "ended")
    list_select_related = ("profile__user",)
    views = HOLD_VIEWS
    search_by: ClassVar[dict[str, str]] = {"people": "profile", "number": "pk", "text": "reason__icontains"}
    search_help_text = "Username, email, cus_…, or a part of the reason"
    actions_detail: ClassVar[Any] = ["end_hold"]
    fields = ("person", "status", "reason", ("set_by", "since"), ("ended_by", "ended", "end_reason"))

    person = person_column()
    since = time_column("set_at", "Since")
    ended = time_column("ended_at", "Ended")

    @admin.display(description="Legal hold", ordering="pk")
    def what(self, row: LegalHold) -> str:
        return str(row)

    @admin.display(description="Status")
    def status(self, row: LegalHold) -> SafeString:
        return badge("Ended") if row.ended_at else badge("In force", Tone.WARN)

    @dialog_action(
        title="End legal hold", permission="set_legal_hold", form=dialog(LegalHold), icon="lock_open",
        explain="The subscriber can be erased again, and retention goes on where it stopped.",
        refuse=lambda row: "It is over already." if row.ended_at else "",
    )  # fmt: skip
    def end_hold(self, _request: HttpRequest, form: ReasonDialog) -> str:
        legal_holds.end(form.target, **form.why)
        return f"The legal hold on {form.target.profile} is over."
