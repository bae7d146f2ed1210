"""Comparisons with Stripe and Keycloak: what each run looked at, found and fixed, with links to what it found."""

from collections.abc import Iterator
from typing import Any, ClassVar, override
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from apps.accounts.models import UserProfile
from apps.billing import event_span
from apps.console.admin import event_spans
from apps.console.base import ConsoleAdmin
from apps.console.columns import badge, describe_actor, state_badge, time_column, when
from apps.console.dialogs import dialog_action
from apps.core import clock, comparison_runs, jobs
from apps.core.models import ComparisonRun
from apps.core.states import Tone
from apps.operations import account_checks

DIFFERS = {"stripe": "Stripe says something else", "keycloak": "Keycloak says something else"}


# What a run of these kinds found, which fetches nothing again.
FOUND = {
    "compare_keycloak": " and found {} that differ in Keycloak. The next sync fixes what is about access; staff decide about the rest.",
    account_checks.OWNERS: " and found {} with our mark that belong to no subscriber. The page Laws names what two runs find.",
    account_checks.SESSIONS: " and found {} closed with a session. The page Laws names them.",
}


def find_pages(items: list[Any]) -> Iterator[tuple[str, str, str]]:
    """Of each thing that was found: its name, the address of its page, and who says something else. One query."""
    ids = [one for kind, one, _ in items if kind == "profile"]
    names = dict(UserProfile.objects.filter(pk__in=ids).values_list("pk", "user__username"))
    for kind, identity, system in items:
        if kind == "profile":
            url = reverse("admin:accounts_userprofile_change", args=[identity]) if identity in names else ""
            yield names.get(identity, f"subscriber {identity}, who is gone"), url, DIFFERS.get(system, "")
        elif kind == "account":
            yield f"Keycloak's account {identity}", "", "It belongs to nobody here"
        else:
            url = f"{reverse('admin:billing_inboundevent_changelist')}?{urlencode({'q': identity})}"
            yield str(identity), url, "Stripe had it, and we had not"


@admin.register(ComparisonRun)
class ComparisonAdmin(ConsoleAdmin):
    """The newest first."""

    list_display = ("what", "state_label", "kind_label", "looked", "found", "fixed", "failed", "who", "started", "took")
    list_display_links = ("what",)
    list_filter = (("state", ChoicesDropdownFilter),)
    tabs = ("state", tuple(ComparisonRun.State))
    list_before_template = "console/comparisons.html"
    actions_list: ClassVar[Any] = ["fetch_span"]
    search_by: ClassVar[dict[str, str]] = {"number": "pk", "text": "kind__startswith"}
    search_help_text = "Number, or the kind of job"
    fieldsets = (
        (None, {"fields": ("sentence", ("kind_label", "state_label"), "span", ("who", "reason"))}),
        ("When", {"fields": (("started", "progressed", "ended"), ("took", "slices"))}),
        ("What it found", {"fields": (("looked", "found", "fixed", "failed"), "found_list")}),
    )

    started = time_column("started_at", "Started")
    progressed = time_column("progressed_at", "Last progress")
    ended = time_column("ended_at", "Ended")

    @admin.display(description="Comparison", ordering="pk")
    def what(self, row: ComparisonRun) -> str:
        return f"comparison {row.pk}"

    @admin.display(description="Which")
    def kind_label(self, row: ComparisonRun) -> str:
        return jobs.kind_label(row.kind)

    @admin.display(description="State")
    def state_label(self, row: ComparisonRun) -> SafeString:
        """With a word of its own for one that does nothing any more."""
        if is_stuck(row):
            return badge("Has not ended", Tone.BAD)
        return state_badge(row)

    @admin.display(description="Looked at")
    def looked(self, row: ComparisonRun) -> str:
        return f"{row.looked_at:,}"

    @admin.display(description="Requested by")
    def who(self, row: ComparisonRun) -> str:
        return "the schedule" if row.actor == "system" else describe_actor(row.actor)

    @admin.display(description="Span")
    def span(self, row: ComparisonRun) -> str:
        return f"{when(row.since)} to {when(row.until)}" if row.since else "the usual one"

    @admin.display(description="Took")
    def took(self, row: ComparisonRun) -> str:
        if not row.ended_at:
            return "–"
        seconds = int((row.ended_at - row.started_at).total_seconds())
        return f"{seconds // 60} min" if seconds >= 120 else f"{seconds} s"

    @admin.display(description="In short")
    def sentence(self, row: ComparisonRun) -> str:
        return describe_run(row)

    @admin.display(description="Found")
    def found_list(self, row: ComparisonRun) -> SafeString:
        """What was found, each with its page."""
        if not row.items:
            return SafeString("Nothing was missing, and nothing differed.")
        lines = (
            (format_html('<a class="fd-link" href="{}">{}</a>', url, name) if url else name, differs)
            for name, url, differs in find_pages(row.items)
        )
        more = row.found - len(row.items)
        rest = format_html("<p>and {} more.</p>", f"{more:,}") if more > 0 else ""
        items = format_html_join("", '<li>{} <span class="fd-quiet">{}</span></li>', lines)
        return format_html('<ul class="fd-plain">{}</ul>{}', items, rest)

    @override
    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        return {"may_fetch": event_spans.may_fetch(request)}

    @dialog_action(
        title="Fetch a time span", permission="retry_job", form=event_spans.SpanDialog, fresh=False, icon="cloud_download",
        explain="Fetch the events of a span of time that we missed.",
    )  # fmt: skip
    def fetch_span(self, _request: HttpRequest, form: event_spans.SpanDialog) -> str:
        """One run, with a page of its own."""
        span = {name: form.cleaned_data[name] for name in ("since", "until")}
        form.leads_to = event_span.start_span(**span, **form.why)
        return "The events of this span are being fetched. Reload this page in a while."


def is_stuck(row: ComparisonRun) -> bool:
    """Whether it runs and does nothing any more."""
    running = row.state == ComparisonRun.State.RUNNING
    return running and row.progressed_at < clock.now() - comparison_runs.LATE


def describe_run(row: ComparisonRun) -> str:
    """What the run did, in a sentence or two."""
    said = f"It looked at {row.looked_at:,}"
    if not row.found:
        said += " and found nothing missing or different."
    elif row.kind in FOUND:
        said += FOUND[row.kind].format(f"{row.found:,}")
    else:
        said += f", found {row.found:,} missing or different, and had {row.fixed:,} fetched again."
    if row.failed:
        said += f" The safeguard stopped it: {row.failed:,} wait for staff."
    if row.state == ComparisonRun.State.STOPPED:
        said += " It died before its end; a later one has begun."
    elif is_stuck(row):
        said += " It has stopped before its end: retry its job on the page Jobs."
    elif row.state == ComparisonRun.State.RUNNING:
        said += " It goes on."
    return said
