"""The mass guard: sweeps that stopped because too many would lose access, who they are, and letting one go on."""

from typing import Any, ClassVar, override

from django import forms
from django.contrib import admin
from django.db.models import Func, IntegerField, QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.accounts.models import UserProfile
from apps.console.base import BoundedPaginator, ConsoleAdmin
from apps.console.columns import badge, state_column, time_column
from apps.console.dashboard import forget
from apps.console.dialogs import ReasonDialog, dialog_action
from apps.operations import bulk_facts, safeguard, stripe_comparison
from apps.operations.models import SafeguardReview

ROWS = 50


class ConfirmDialog(ReasonDialog):
    """Says what would happen; how many they are has to be typed."""

    model = SafeguardReview
    form_before_template = "console/dialogs/loss.html"
    confirmation = forms.IntegerField(
        label="Type how many lose access to confirm",
        min_value=0,
        max_value=2**31,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "inputmode": "numeric"}),
    )

    @override
    def get_before_template_context(self, request: HttpRequest, object_id: str | None = None) -> dict[str, Any]:
        return {"loss": self.target, "sweep": safeguard.sweep_label(self.target.sweep), "hours": 24}


@admin.register(SafeguardReview)
class SafeguardReviewAdmin(ConsoleAdmin):
    """What is asked comes first; what was decided stays readable."""

    list_display = ("what", "state_label", "how_many", "asked", "seen", "decided_by", "reason")
    list_filter = (("state", ChoicesDropdownFilter),)
    search_by: ClassVar[dict[str, str]] = {"number": "pk", "text": "sweep__icontains"}
    search_help_text = "Number, or the sweep's name"
    actions_detail: ClassVar[Any] = ["confirm"]
    change_form_outer_before_template = "console/loss.html"
    fieldsets = (
        ("Review", {"fields": (("what", "state_label"), ("asked", "seen"))}),
        ("Decision", {"fields": (("decided_by", "decided"), ("reason", "until_label"))}),
    )

    state_label = state_column()
    asked = time_column("opened_at", "Opened")
    seen = time_column("seen_at", "Last found")
    decided = time_column("decided_at", "Decided")
    until_label = time_column("until", "Approved until")

    @admin.display(description="Sweep", ordering="pk")
    def what(self, row: SafeguardReview) -> str:
        """Its name, and which one."""
        return (
            f"{safeguard.sweep_label(row.sweep)} (run {row.scope})" if row.scope else safeguard.sweep_label(row.sweep)
        )

    @admin.display(description="Would lose access")
    def how_many(self, row: Any) -> str:
        """How many of how many."""
        return f"{row.losing} of {row.with_access}"

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Without what a walk is still counting; in the list without who they are, who may be very many."""
        rows: QuerySet[Any] = super().get_queryset(request).exclude(state=SafeguardReview.State.COLLECTING)
        rows = rows.annotate(losing=Func("profile_ids", function="cardinality", output_field=IntegerField()))
        one = request.resolver_match and "object_id" in request.resolver_match.kwargs
        return rows if one else rows.defer("profile_ids")

    @override
    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The page, with who they are."""
        row = self.get_object(request, str(object_id)) if object_id else None
        if row is not None and self.has_view_permission(request, row):
            extra_context = (extra_context or {}) | shown(row, request.GET.get("p"))
        answer: HttpResponse = super().changeform_view(request, object_id, form_url, extra_context)
        return answer

    @override
    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        """Only an open review can be approved."""
        row = self.get_object(request, str(object_id))
        asking = row is not None and row.state == SafeguardReview.State.PENDING
        return super().get_actions_detail(request, object_id) if asking else []

    @dialog_action(
        title="Approve revocation", permission="approve_revocations", form=ConfirmDialog, icon="gpp_maybe", danger=True,
        explain="Only if this is intended. If not, fix the cause: then the sweep finds nobody and stops asking.",
    )  # fmt: skip
    def confirm(self, _request: HttpRequest, form: ConfirmDialog) -> str:
        data = form.cleaned_data
        safeguard.approve(form.target, expected=data["confirmation"], actor=form.actor, reason=data["reason"])
        forget()
        return f"{safeguard.sweep_label(form.target.sweep)} continues, and may take access from these {data['confirmation']}."


def shown(row: SafeguardReview, number: Any) -> dict[str, Any]:
    """One page of the people a sweep asked about: what they have, and what our rows say they should have."""
    page = BoundedPaginator(row.profile_ids, ROWS).get_page(number)
    people = UserProfile.objects.filter(pk__in=list(page.object_list))
    decided = bulk_facts.decide_many(people)
    rows = [
        {
            "profile": one,
            "has": badge(one.access_state, one.get_access_state_display()),
            "due": badge(decided[one.pk].state.value, decided[one.pk].state.label),
            "why": "; ".join(decided[one.pk].trace),
        }
        for one in people.select_related("user").order_by("pk")
    ]
    return {
        "loss": row,
        "sweep": safeguard.sweep_label(row.sweep),
        "limit": safeguard.loss_limit(row.with_access),
        "rows": rows,
        "page": page,
        "stripe": row.sweep == stripe_comparison.KIND,
    }
