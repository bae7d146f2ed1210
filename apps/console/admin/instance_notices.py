"""What the subscribers on an instance read about it: where their data lives, and maintenance or a disruption until it is over."""

from typing import Any, override

from django import forms
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.console.admin.event_spans import moment_field
from apps.console.dialogs import ReasonDialog, dialog_action
from apps.core import clock
from apps.core.countries import list_countries
from apps.instances import deployments
from apps.instances.models import Instance


def country_field() -> forms.ChoiceField:
    """A country, or none."""
    choices = [("", "Not said"), *list_countries()]
    return forms.ChoiceField(choices=choices, required=False, widget=UnfoldAdminSelectWidget)


class LocationDialog(ReasonDialog):
    model = Instance
    location = forms.CharField(
        required=False, max_length=80, widget=UnfoldAdminTextInputWidget(), help_text="A town or a data center."
    )
    country = country_field()

    @override
    def prepare(self) -> None:
        for name in ("location", "country"):
            self.fields[name].initial = getattr(self.target, name)


class NoticeDialog(ReasonDialog):
    """Kind and span; without a kind, the notice is taken away."""

    model = Instance
    notice = forms.ChoiceField(
        choices=[("", "Nothing: all is well"), *Instance.Notice.choices], required=False, widget=UnfoldAdminSelectWidget
    )
    since = moment_field("From", "In the time zone of the page.")
    until = moment_field("Until", "When it should be over. Subscribers read it.")

    @override
    def prepare(self) -> None:
        self.fields["notice"].initial = self.target.notice
        for name, value in (("since", self.target.notice_from), ("until", self.target.notice_until)):
            self.fields[name].required = False
            self.fields[name].initial = value

    @override
    def clean(self) -> dict[str, Any]:
        """A notice has an end; it begins now if nothing else is said."""
        data: dict[str, Any] = super().clean() or {}
        if data.get("notice"):
            data["since"] = data.get("since") or clock.now()
            if not data.get("until") and "until" not in self.errors:
                self.add_error("until", "Say until when. It can be changed later.")
        return data


class NoticeActions:
    """The two actions, for the page of an instance."""

    @dialog_action(
        title="Location", permission="change_capacity", form=LocationDialog, icon="location_on",
        explain="Subscribers see on their page where their data lives.", fresh=False,
    )  # fmt: skip
    def change_location(self, _request: HttpRequest, form: LocationDialog) -> str:
        """Say where its data lives."""
        data = form.cleaned_data
        found = deployments.set_location(
            instance=form.target, location=data["location"], country=data["country"], **form.why
        )
        return f"The location of {found} is saved."

    @dialog_action(
        title="Notice", permission="change_capacity", form=NoticeDialog, icon="campaign",
        explain="Subscribers on it see this on their page, from two weeks before until its end.", fresh=False,
    )  # fmt: skip
    def change_notice(self, _request: HttpRequest, form: NoticeDialog) -> str:
        """Announce maintenance or a disruption, or say that it is over."""
        data = form.cleaned_data
        between = (data["since"], data["until"]) if data["notice"] else None
        found = deployments.set_notice(instance=form.target, notice=data["notice"], between=between, **form.why)
        return f"Subscribers on {found} see the notice." if found.notice else f"{found} has no notice."
