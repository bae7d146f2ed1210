"""Previews of changed terms: how far the job is, who would gain or lose, as a file too, and saving the change or abandoning it."""

from dataclasses import dataclass
from typing import Any, ClassVar, override
from urllib.parse import urlencode

from django.contrib import admin
from django.core.paginator import Page
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from apps.console.admin.terms_preview_export import ExportPreview
from apps.console.base import BoundedPaginator, ConsoleAdmin
from apps.console.columns import badge, describe_actor, state_column, time_column
from apps.console.dialogs import ReasonDialog, TypedCountField, dialog, dialog_action
from apps.console.terms_words import describe_terms_change, scope_of
from apps.core import audit
from apps.core.models import Job
from apps.core.states import AccessState
from apps.operations import terms_preview
from apps.operations.models import TermsPreview, TermsPreviewPerson
from apps.operations.terms_preview import PreviewCounts

ROWS = 50
Effect = TermsPreviewPerson.Effect
SHOWN = (Effect.GAIN, Effect.LOSE, Effect.GIVE_UP, Effect.MOVED)
TABS = (("", "Everybody"), *((one.value, one.label) for one in SHOWN))


@dataclass(frozen=True)
class EffectTab:
    key: str
    title: str
    count: int


@dataclass(frozen=True)
class PreviewPage:
    """Everything on the page that moves. `here` is the address of that part, with what was chosen."""

    row: TermsPreview
    counts: PreviewCounts
    tabs: tuple[EffectTab, ...]
    shown: str
    people: tuple[dict[str, Any], ...]
    page: Page[Any]
    here: str
    outdated: str  # why it can no longer be confirmed
    stuck: Job | None  # its job, when that gave up
    again: str  # where the same change is filled in once more

    @property
    def percent(self) -> int:
        """How far the count is, of a hundred."""
        return int(100 * self.row.checked / self.row.total) if self.row.total else 0


def read_page(row: TermsPreview, asked: Any) -> PreviewPage:
    """The page as chosen by `asked` (the request's parameters `show` and `p`); whatever is unknown shows everybody."""
    shown = str(asked.get("show", ""))
    shown = shown if shown in dict(TABS) else ""
    counts = terms_preview.count_effects(row)
    page = BoundedPaginator(terms_preview.people_with(row, shown), ROWS).get_page(asked.get("p"))
    here = reverse("admin:operations_termspreview_progress", args=[row.pk])
    numbers = {"": counts.concerned} | {one.value: getattr(counts, one.value) for one in SHOWN}
    is_ready = row.state == TermsPreview.State.READY
    return PreviewPage(
        row=row,
        counts=counts,
        tabs=tuple(EffectTab(key, title, numbers[key]) for key, title in TABS),
        shown=shown,
        people=tuple(_person(one) for one in page.object_list),
        page=page,
        here=f"{here}?{urlencode({'show': shown, 'p': page.number})}",
        outdated=terms_preview.refuse_confirming(row) if is_ready else "",
        stuck=Job.objects.filter(kind=terms_preview.KIND, key=str(row.pk), state="dead").first() if row.is_working else None,
        again=f"{reverse('admin:access_termschange_add')}?{urlencode(_filled(row))}",
    )  # fmt: skip


def _filled(row: TermsPreview) -> dict[str, Any]:
    about = {"product": row.product_id, "profile": row.profile_id, "reason": row.reason}
    return {name: value for name, value in (row.values | about).items() if value is not None}


def _person(one: TermsPreviewPerson) -> dict[str, Any]:
    before, after = AccessState(one.before), AccessState(one.after)
    return {
        "profile": one.profile,
        "effect": badge(one.get_effect_display(), Effect(one.effect).tone),
        "before": badge(before.label, before.tone),
        "after": badge(after.label, after.tone),
    }


class ConfirmTermsDialog(ReasonDialog):
    """Says what will happen; how many lose something has to be typed where they are many."""

    model = TermsPreview
    form_before_template = "console/dialogs/terms_confirm.html"
    confirmation = TypedCountField("Type how many lose something to confirm")

    @override
    def prepare(self) -> None:
        self.counts = terms_preview.count_effects(self.target)
        self.fields["reason"].initial = self.target.reason
        if not terms_preview.needs_number(self.target, self.counts):
            del self.fields["confirmation"]

    @override
    def context(self) -> dict[str, Any]:
        return {"counts": self.counts, "changes": describe_terms_change(self.target.as_change())}


@admin.register(TermsPreview)
class TermsPreviewAdmin(ExportPreview, ConsoleAdmin):
    """The newest first. The page of one keeps itself up to date as long as its job works."""

    few = True
    list_display = ("what", "scope", "state_label", "how_far", "asker", "reason", "asked")
    list_select_related = ("product", "profile__user")
    list_filter = (("state", ChoicesDropdownFilter),)
    search_by: ClassVar[dict[str, str]] = {"people": "profile", "number": "pk", "text": "requested_by__icontains"}
    search_help_text = "Number, username, email, cus_…, or who asked"
    actions_detail: ClassVar[Any] = ["save_terms", "abandon"]
    change_form_outer_before_template = "console/terms_preview.html"
    fragments: ClassVar[dict[str, str]] = {"progress": "progress_view"}
    fieldsets = (("Why", {"fields": (("asker", "asked"), ("decider", "decided"), "reason")}),)

    state_label = state_column()
    asked = time_column("requested_at", "Asked")
    decided = time_column("decided_at", "Decided")

    @admin.display(description="Preview", ordering="pk")
    def what(self, row: TermsPreview) -> str:
        return str(row)

    @admin.display(description="For")
    def scope(self, row: TermsPreview) -> str:
        """For whom the change is."""
        return scope_of(row)

    @admin.display(description="Checked")
    def how_far(self, row: TermsPreview) -> str:
        """How many of how many."""
        return f"{row.checked:,} of {row.total:,}" if row.total is not None else "–"

    @admin.display(description="Asked by", ordering="requested_by")
    def asker(self, row: TermsPreview) -> str:
        return describe_actor(row.requested_by)

    @admin.display(description="Decided by", ordering="decided_by")
    def decider(self, row: TermsPreview) -> str:
        return describe_actor(row.decided_by) if row.decided_by else "–"

    def progress_view(self, request: HttpRequest, row: TermsPreview) -> HttpResponse:
        """How far it is and whom it has found: what moves, loaded again and again."""
        return render(request, "console/terms_preview_progress.html", self._progress(request, row))

    def _progress(self, request: HttpRequest, row: TermsPreview) -> dict[str, Any]:
        may_export = self.has_export_userprofile_permission(request)
        return {
            "shown": read_page(row, request.GET),
            "scope": scope_of(row),
            "changes": describe_terms_change(row.as_change()),
            "may_change": self.has_change_terms_permission(request),
            "export": reverse("admin:operations_termspreview_export", args=[row.pk]) if may_export else "",
        }

    @override
    def page_context(self, request: HttpRequest, row: TermsPreview) -> dict[str, Any]:
        entries = audit.entries_about(("termspreview", row.pk)).order_by("-id")
        return self._progress(request, row) | {"entries": entries[:20]}

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.select_related("product", "profile__user", "change")

    @dialog_action(
        title="Save these terms", permission="change_terms", form=ConfirmTermsDialog, icon="policy", danger=True,
        explain="Everybody is decided about once more. If more people would lose something than you saw, nothing is saved.",
        refuse=terms_preview.refuse_confirming,
    )  # fmt: skip
    def save_terms(self, _request: HttpRequest, form: ReasonDialog) -> str:
        terms_preview.confirm(form.target, expected=form.cleaned_data.get("confirmation"), **form.why)
        return "Everybody is being checked once more; then the terms are saved."

    @dialog_action(
        title="Abandon", permission="change_terms", form=dialog(TermsPreview), icon="cancel", fresh=False, refuse=terms_preview.refuse_abandoning,
        explain="Nothing is saved, and nobody is affected.",
    )  # fmt: skip
    def abandon(self, _request: HttpRequest, form: ReasonDialog) -> str:
        terms_preview.abandon(form.target, **form.why)
        return "The preview is abandoned. Nothing was saved."
