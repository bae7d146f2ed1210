"""Checks after a restored backup: how far one is, what it found, and finishing it."""

from typing import Any, ClassVar, override

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.console.base import ConsoleAdmin
from apps.console.columns import badge, time_column
from apps.console.dialogs import ReasonDialog, dialog_action
from apps.core import restores
from apps.core.models import RestoreCheck
from apps.core.states import Tone
from apps.operations import after_restore

ROWS = 50


class FinishDialog(ReasonDialog):
    """How many things are open has to be typed: finishing decides about each of them."""

    model = RestoreCheck
    confirmation = forms.IntegerField(
        label="Type how many items are open (0 when all are closed)",
        min_value=0,
        max_value=2**31,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "inputmode": "numeric"}),
    )


@admin.register(RestoreCheck)
class RestoreCheckAdmin(ConsoleAdmin):
    few = True
    list_display = ("what", "status", "progress", "finished_by", "reason")
    search_by: ClassVar[dict[str, str]] = {"number": "pk", "text": "evidence__icontains"}
    search_help_text = "Number, or what showed it"
    actions_detail: ClassVar[Any] = ["finish"]
    change_form_outer_before_template = "console/restore_check.html"
    fields = ("evidence", ("from_label", "until_label", "lost_entries"), ("finished_by", "finished_label"), "reason")

    from_label = time_column("lost_from", "Lost from")
    until_label = time_column("lost_until", "Lost until")
    finished_label = time_column("finished_at", "Finished")
    what = time_column("noticed_at", "Noticed")

    @admin.display(description="Status")
    def status(self, row: RestoreCheck) -> SafeString:
        return badge("Finished", Tone.GOOD) if row.finished_at else badge("Access is paused", Tone.BAD)

    @admin.display(description="How far it is", ordering="step")
    def progress(self, row: RestoreCheck) -> str:
        return str(RestoreCheck.Step(row.step).label)

    @override
    def page_context(self, request: HttpRequest, row: RestoreCheck) -> dict[str, Any]:
        steps = [one for one in RestoreCheck.Step if one != RestoreCheck.Step.READY]
        order = list(RestoreCheck.Step)
        return {
            "check": row,
            "steps": [(one.label, order.index(one) < order.index(RestoreCheck.Step(row.step))) for one in steps],
            "progress": after_restore.describe(row),
            "items": [] if row.finished_at else restores.found_items()[:ROWS],
        }

    @dialog_action(
        title="Finish the check", permission="approve_revocations", form=FinishDialog, icon="task_alt", danger=True,
        explain="Access changes again: subscribers who are listed and were not put right are synced by what billing says.",
        refuse=lambda row: "It is finished already." if row.finished_at else "",
    )  # fmt: skip
    def finish(self, _request: HttpRequest, form: FinishDialog) -> str:
        restores.finish(accept=form.cleaned_data["confirmation"], **form.why)
        return "The check is finished. Access changes again."
