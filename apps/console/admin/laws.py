"""The laws: which hold, when each was last checked and violated, what breaks it, and checking all of them now."""

from collections.abc import Iterator
from typing import Any, ClassVar, override

from django.contrib import admin
from django.db.models import OuterRef, Subquery
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from apps.accounts.models import UserProfile
from apps.console.base import ConsoleAdmin
from apps.console.columns import badge, link, state_badge, state_column, time_column
from apps.console.dialogs import ReasonDialog, dialog_action
from apps.console.saved_views import SavedView
from apps.core import law_checks, laws
from apps.core.laws import Law, LawSeverity
from apps.core.models import LawCheck
from apps.core.states import Tone

TONES = {LawSeverity.URGENT: Tone.BAD, LawSeverity.IMPORTANT: Tone.WARN}
OTHER_NAMES = {"attention": "attentionitem", "email": "notification"}  # of kinds of rows, as the console calls them


@admin.register(LawCheck)
class LawCheckAdmin(ConsoleAdmin):
    """All laws come first, as last checked; then the history, in which a violation that ended stays."""

    list_display = ("title", "state_label", "violations_found", "looked", "first", "last")
    list_filter = (("state", ChoicesDropdownFilter),)
    views = (
        SavedView(
            "violated",
            "Violated now",
            lambda rows: rows.filter(pk__in=law_checks.newest().values("pk"), state="violated"),
        ),
    )
    list_before_template = "console/laws.html"
    change_form_outer_before_template = "console/law_check.html"
    deferred = ("violations",)
    search_by: ClassVar[dict[str, str]] = {"text": "law__iexact"}
    search_help_text = "A law, as L2"
    actions_list: ClassVar[Any] = ["check_now"]
    fieldsets = (("This result", {"fields": (("first", "last"), ("looked", "took"))}),)

    state_label = state_column()
    first = time_column("first_at", "First found")
    last = time_column("checked_at", "Last found")

    @admin.display(description="Law")
    def title(self, row: LawCheck) -> str:
        return title_of(row.law)

    @admin.display(description="Violations")
    def violations_found(self, row: LawCheck) -> str:
        return f"{row.total:,}"

    @admin.display(description="Looked at")
    def looked(self, row: LawCheck) -> str:
        return f"{row.looked_at:,}"

    @admin.display(description="Took")
    def took(self, row: LawCheck) -> str:
        return f"{row.seconds:.2f} s"

    @override
    def list_context(self, _request: HttpRequest) -> dict[str, Any]:
        lines = list(list_laws())
        return {"lines": lines, "counts": count_states(lines), "progress": law_checks.open_check()}

    @override
    def page_context(self, _request: HttpRequest, row: LawCheck) -> dict[str, Any]:
        law = next((one for one in laws.all_laws() if one.number == row.law), None)
        return {"law": law, "check": row, "severity": severity_badge(law), "rows": list_violations(row)}

    @dialog_action(
        title="Check now", permission="retry_job", fresh=False, icon="fact_check",
        explain="Checks every law now, as a job does every few minutes. It changes nothing.",
    )  # fmt: skip
    def check_now(self, _request: HttpRequest, form: ReasonDialog) -> str:
        law_checks.check_now(**form.why)
        return "All laws are being checked."


def title_of(number: str) -> str:
    """A law by its number and title; one that no code has any more by its number."""
    return next((f"{law.number} {law.title}" for law in laws.all_laws() if law.number == number), number)


def severity_badge(law: Law | None) -> SafeString:
    return badge(law.severity.label, TONES.get(law.severity, Tone.CALM)) if law else SafeString("")


def list_laws() -> Iterator[dict[str, Any]]:
    """Every law with its last result, in one query."""
    violated = LawCheck.objects.filter(law=OuterRef("law"), state="violated").order_by("-pk").values("checked_at")[:1]
    rows = law_checks.newest().defer("violations").annotate(violated_at=Subquery(violated))
    last = {row.law: row for row in rows}
    for law in laws.all_laws():
        row = last.get(law.number)
        state = state_badge(row) if row else badge("Not checked yet")
        broken = row is not None and row.state == LawCheck.State.VIOLATED  # a colour that is always there says nothing
        yield {
            "law": law,
            "row": row,
            "severity": severity_badge(law) if broken else law.severity.label,
            "state": state,
        }


def count_states(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Of all laws: how many hold, the results of those that are violated, and how many were not checked."""
    states = [line["row"].state if line["row"] else "" for line in lines]
    broken = [line["row"] for line in lines if line["row"] and line["row"].state == LawCheck.State.VIOLATED]
    holding = states.count(LawCheck.State.OK)
    return {"holding": holding, "violated": broken, "unchecked": len(lines) - holding - len(broken)}


def list_violations(row: LawCheck) -> list[dict[str, Any]]:
    """What was named, each with links to what it is about and to the subscriber."""
    ids = {subscriber for _, _, subscriber, _ in row.violations if subscriber is not None}
    people = {one.pk: one for one in UserProfile.objects.select_related("user").filter(pk__in=ids)}
    own = [model for model in admin.site._registry if model._meta.app_label != "djstripe"]
    pages = {str(model._meta.model_name): model for model in own} | {"profile": UserProfile}
    found = []
    for kind, identity, subscriber, words in row.violations:
        model = pages.get(OTHER_NAMES.get(kind, kind))
        noun = str(model._meta.verbose_name if model else kind)
        name = f"{noun[:1].upper()}{noun[1:]} {identity}"  # an id keeps its capitals
        # A constraint may be what broke, so the row is not asked for: its address needs its id alone.
        about = link(model(pk=identity), name) if model and identity.isdecimal() else SafeString("")
        found.append({"about": about or name, "person": link(people.get(subscriber)), "words": words})
    return found
