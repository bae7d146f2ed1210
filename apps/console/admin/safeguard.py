"""The safeguard: sweeps that stopped because too many would lose access, who they are, and letting one go on."""

from typing import Any, ClassVar, override

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from apps.accounts.models import UserProfile
from apps.console import asking
from apps.console.base import BoundedPaginator, ConsoleAdmin
from apps.console.columns import badge, state_badge, state_column, time_column
from apps.console.dialogs import ReasonDialog, TypedCountField, dialog_action
from apps.console.outside import link_reasons
from apps.operations import bulk_facts, safeguard, stripe_comparison
from apps.operations.models import ApprovalRequest, SafeguardReview

Action = ApprovalRequest.Action
ROWS = 50


class ApproveDialog(ReasonDialog):
    """Says what would happen; how many they are has to be typed."""

    model = SafeguardReview
    form_before_template = "console/dialogs/approve_revocation.html"
    confirmation = TypedCountField("Type how many lose access to confirm")

    @override
    def context(self) -> dict[str, Any]:
        hours = int(safeguard.APPROVED_FOR.total_seconds() // 3600)
        return {"hours": hours} | asking.describe_limit(self, Action.APPROVE_REVOCATION, len(self.target.profile_ids))


@admin.register(SafeguardReview)
class SafeguardReviewAdmin(ConsoleAdmin):
    """What is asked comes first; what was decided stays readable."""

    few = True
    list_display = ("what", "state_label", "how_many", "asked", "seen", "decided_by", "reason")
    list_filter = (("state", ChoicesDropdownFilter),)
    search_by: ClassVar[dict[str, str]] = {"number": "pk", "text": "sweep__icontains"}
    search_help_text = "Number, or the sweep's name"
    actions_detail: ClassVar[Any] = ["confirm"]
    change_form_outer_before_template = "console/safeguard_review.html"
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
        return f"{row.sweep_label} (run {row.scope})" if row.scope else row.sweep_label

    @admin.display(description="Would lose access")
    def how_many(self, row: Any) -> str:
        """How many of how many."""
        return f"{row.losing} of {row.with_access}"

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return safeguard.list_reviews().order_by("-pk")

    @override
    def page_context(self, request: HttpRequest, row: SafeguardReview) -> dict[str, Any]:
        return list_affected(row, request.GET.get("p"))

    @dialog_action(
        title="Approve revocation", permission="approve_revocations", form=ApproveDialog, icon="gpp_maybe", danger=True,
        explain="Only if this is intended. If not, fix the cause: then the sweep finds nobody and stops asking.",
        refuse=lambda row: "" if row.state == SafeguardReview.State.PENDING else "This review is no longer open.",
    )  # fmt: skip
    def confirm(self, _request: HttpRequest, form: ApproveDialog) -> str:
        count = form.cleaned_data["confirmation"]
        if asking.needs_second(form, Action.APPROVE_REVOCATION, len(form.target.profile_ids)):
            safeguard.refuse_approval(form.target, expected=count)
            terms = {"review": form.target.pk, "expected": count}
            return asking.ask(form, Action.APPROVE_REVOCATION, subject=f"review:{form.target.pk}", terms=terms)
        safeguard.approve(form.target, expected=count, **form.why)
        return f"{form.target.sweep_label} continues, and may take access from these {count}."


def list_affected(row: SafeguardReview, number: Any) -> dict[str, Any]:
    """One page of the people a sweep asked about: what they have, and what our rows say they should have."""
    page = BoundedPaginator(row.profile_ids, ROWS).get_page(number)
    people = UserProfile.objects.filter(pk__in=list(page.object_list))
    decided = bulk_facts.decide_many(people)
    rows = [
        {
            "profile": one,
            "has": state_badge(one, "access_state"),
            "due": badge(decided[one.pk].state.label, decided[one.pk].state.tone),
            "why": link_reasons("; ".join(decided[one.pk].trace)),
        }
        for one in people.select_related("user").order_by("pk")
    ]
    return {
        "review": row,
        "limit": safeguard.loss_limit(row.with_access),
        "rows": rows,
        "page": page,
        "stripe": row.sweep in (stripe_comparison.KIND, stripe_comparison.RECENT),
    }
