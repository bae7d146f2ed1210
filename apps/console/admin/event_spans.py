"""What did Stripe say in a span of time, and what of it did we miss? A preview that changes nothing, and the dialog that fetches it."""

import functools
from collections.abc import Callable
from typing import Any, override
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.billing import event_span
from apps.console.columns import dialog_link
from apps.console.dialogs import ReasonDialog
from apps.core.errors import BadInput, WorkError

PERMISSION = "accounts.retry_job"  # those who have events processed again
SHOWN = 100  # of what is missing
FORMATS = ("%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S")
View = Callable[..., HttpResponse]


def moment_field(label: str, help_text: str = "") -> forms.DateTimeField:
    """A moment to the minute, in the reader's time zone."""
    widget = UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"})
    return forms.DateTimeField(label=label, input_formats=FORMATS, help_text=help_text, widget=widget)


def check_fields(form: forms.Form) -> None:
    """Whether Stripe would list anything; what is wrong is said at the field."""
    cleaned = form.cleaned_data
    if "since" in cleaned and "until" in cleaned:
        try:
            event_span.check_span(cleaned["since"], cleaned["until"])
        except BadInput as refusal:
            form.add_error(refusal.field or None, refusal.message)


class SpanForm(forms.Form):
    """The span of a preview."""

    since = moment_field("From")
    until = moment_field("To")

    @override
    def clean(self) -> None:
        check_fields(self)


class SpanDialog(ReasonDialog):
    """The span to fetch; the preview hands it over in the address."""

    since = moment_field("From", "In the time zone of the page, at most 30 days ago.")
    until = moment_field("To", "In the time zone of the page. What happens at Stripe from this moment on is left out.")
    form_before_template = "console/dialogs/event_span.html"

    @override
    def prepare(self) -> None:
        for name in ("since", "until"):
            self.fields[name].initial = self.request.GET.get(name, "")[:19] or None

    @override
    def clean(self) -> Any:
        cleaned = super().clean()
        check_fields(self)
        return cleaned


def may_fetch(request: HttpRequest) -> bool:
    return bool(request.user.has_perm(PERMISSION))


def guarded(view: View) -> View:
    @functools.wraps(view)
    def answer(request: HttpRequest) -> HttpResponse:
        if not may_fetch(request):
            raise PermissionDenied
        return view(request)

    return answer


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """The form, and below it the preview once a span is asked for; this asks Stripe and writes nothing."""
    form = SpanForm(request.GET if "since" in request.GET else None)
    context = admin.site.each_context(request) | {"title": "Events of a time span", "form": form, "shown": SHOWN}
    if form.is_valid():
        context |= _preview(form)
    request.current_app = admin.site.name
    return render(request, "console/event_span.html", context)


def _preview(form: SpanForm) -> dict[str, Any]:
    since, until = form.cleaned_data["since"], form.cleaned_data["until"]
    try:
        found = event_span.preview_span(since, until)
    except WorkError as error:
        return {"problem": error.reason}
    span = urlencode({name: f"{moment:%Y-%m-%dT%H:%M:%S}" for name, moment in (("since", since), ("until", until))})
    url = f"{reverse('admin:core_comparisonrun_fetch_span')}?{span}"
    return {"preview": found, "start": dialog_link(url, "Fetch them", "Fetch the events of this span")}


ROUTES: tuple[tuple[str, View, str], ...] = (("comparisons/span/", guarded(page), "event_span"),)
