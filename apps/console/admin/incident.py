"""Incident mode: beginning, prolonging and ending it, and the list of what it holds back."""

import datetime as dt
from typing import Any, ClassVar, override

from django import forms
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.access.models import AccessFreeze, HeldBackLoss
from apps.catalog.models import Product
from apps.console.base import ConsoleAdmin
from apps.console.columns import badge, person_column, time_column, when
from apps.console.dialogs import ReasonDialog, TypedCountField, dialog_action
from apps.console.outside import link_reasons
from apps.core import clock
from apps.core.states import AccessState, Tone
from apps.operations import incident, safeguard

SOON = 24  # hours that are offered
EVERYBODY = "Everybody"


class HoursField(forms.IntegerField):
    """For how many hours from now."""

    def __init__(self) -> None:
        super().__init__(
            label="For how many hours from now",
            min_value=1,
            max_value=settings.INCIDENT_MAX_HOURS,
            initial=min(SOON, settings.INCIDENT_MAX_HOURS),
            help_text=f"At most {settings.INCIDENT_MAX_HOURS}. It can be ended earlier and prolonged.",
            widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "inputmode": "numeric"}),
        )

    @override
    def clean(self, value: Any) -> Any:
        """The moment at which it ends."""
        return clock.now() + dt.timedelta(hours=super().clean(value))


class BeginDialog(ReasonDialog):
    form_before_template = "console/dialogs/incident.html"
    product = forms.ModelChoiceField(
        Product.objects.order_by("position", "pk"),
        required=False,
        label="For whom",
        empty_label=EVERYBODY,
        help_text="A product: those who have a seat on it, a line of a subscription for it or a grant; they lose nothing else either.",
        widget=UnfoldAdminSelectWidget,
    )

    @override
    def prepare(self) -> None:
        self.fields["until"] = HoursField()

    @override
    def context(self) -> dict[str, Any]:
        return {"with_access": safeguard.count_with_access()}


class ChangeEndDialog(ReasonDialog):
    model = AccessFreeze

    @override
    def prepare(self) -> None:
        self.fields["until"] = HoursField()


class EndDialog(ReasonDialog):
    """How many are held back has to be typed: ending it decides about each of them."""

    model = AccessFreeze
    form_before_template = "console/dialogs/incident_end.html"
    confirmation = TypedCountField("Type how many are held back to confirm")

    @override
    def context(self) -> dict[str, Any]:
        return {"held_back": HeldBackLoss.objects.count(), "limit": safeguard.loss_limit(safeguard.count_with_access())}


def refuse_over(row: AccessFreeze) -> str:
    return "" if is_on(row) else incident.OVER


def is_on(row: AccessFreeze) -> bool:
    return row.ended_at is None and row.until > clock.now()


@admin.register(AccessFreeze)
class IncidentAdmin(ConsoleAdmin):
    few = True
    list_display = ("what", "status", "scope", "begun", "ends", "begun_by", "reason")
    list_select_related = ("product",)
    search_by: ClassVar[dict[str, str]] = {"number": "pk", "text": "reason__icontains"}
    search_help_text = "Number, or the reason"
    actions_list: ClassVar[Any] = ["begin"]
    actions_detail: ClassVar[Any] = ["change_end", "end"]
    fields = (("what", "status", "scope"), "reason", ("begun", "begun_by"), ("ends", "ended", "ended_by"))

    begun = time_column("begun_at", "Begun")
    ends = time_column("until", "Until")
    ended = time_column("ended_at", "Ended")

    @admin.display(description="Incident", ordering="pk")
    def what(self, row: AccessFreeze) -> str:
        return f"incident {row.pk}"

    @admin.display(description="Status")
    def status(self, row: AccessFreeze) -> SafeString:
        return badge("On", Tone.BAD) if is_on(row) else badge("Over")

    @admin.display(description="For")
    def scope(self, row: AccessFreeze) -> str:
        return f"those who have {row.product.name}" if row.product else EVERYBODY

    @dialog_action(
        title="Begin incident mode", permission="freeze_access", form=BeginDialog, icon="ac_unit",
        explain="Until it ends, billing takes nothing: no access, no group, no seat, no account.",
    )  # fmt: skip
    def begin(self, _request: HttpRequest, form: BeginDialog) -> str:
        form.leads_to = freeze = incident.begin(
            product=form.cleaned_data["product"], until=form.cleaned_data["until"], **form.why
        )
        return f"Incident mode is on until {when(freeze.until)}."

    @dialog_action(
        title="Change the end", permission="freeze_access", form=ChangeEndDialog, icon="more_time", lock=True, refuse=refuse_over,
        explain="Let it end later or earlier. Staff are reminded when it runs for more than a day.",
    )  # fmt: skip
    def change_end(self, _request: HttpRequest, form: ChangeEndDialog) -> str:
        incident.change_end(form.target, until=form.cleaned_data["until"], **form.why)
        return f"Incident mode is on until {when(form.target.until)}."

    @dialog_action(
        title="End incident mode", permission="freeze_access", form=EndDialog, icon="play_circle", danger=True, lock=True,
        explain="Everybody held back is decided about again, by what billing says then.", refuse=refuse_over,
    )  # fmt: skip
    def end(self, _request: HttpRequest, form: EndDialog) -> str:
        incident.end(form.target, expected=form.cleaned_data["confirmation"], **form.why)
        return "Incident mode is over. Everybody held back is decided about again."


@admin.register(HeldBackLoss)
class HeldBackAdmin(ConsoleAdmin):
    """Of whom something is held back now. A line goes when billing demands nothing of the kind any more, or once it was decided again."""

    list_display = ("what", "person", "demanded", "steps_label", "reasons", "held_since")
    list_select_related = ("profile__user",)
    search_by: ClassVar[dict[str, str]] = {"people": "profile", "number": "pk"}
    search_help_text = "Username, email or cus_…"
    fields = (("person", "demanded", "held_since"), "reasons", "steps_label")

    person = person_column()
    held_since = time_column("since", "Held back since")

    @admin.display(description="Held back", ordering="pk")
    def what(self, row: HeldBackLoss) -> str:
        return f"loss {row.pk}"

    @admin.display(description="Billing demands")
    def demanded(self, row: HeldBackLoss) -> SafeString:
        state = AccessState(row.state)
        return badge(state.label, state.tone)

    @admin.display(description="Why")
    def reasons(self, row: HeldBackLoss) -> SafeString:
        return link_reasons(row.why)

    @admin.display(description="Would be taken")
    def steps_label(self, row: HeldBackLoss) -> SafeString:
        steps = format_html_join("", "<li>{}</li>", ((step,) for step in row.steps))
        return format_html('<ul class="fd-steps">{}</ul>', steps)
