"""Approvals: what one of staff asked for and may not do alone, the plan as it would be now, and the decision of another one."""

from collections.abc import Callable
from typing import Any, ClassVar, override

from django.contrib import admin
from django.db.models import IntegerField, QuerySet
from django.db.models.expressions import Func
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.safestring import SafeString

from apps.access import overrides
from apps.access.facts import read_facts
from apps.access.models import AccessOverride
from apps.accounts.models import UserProfile
from apps.console.admin import subscriber_page, sync_run_page
from apps.console.base import ConsoleAdmin
from apps.console.columns import badge, describe_actor, person_column, state_badge, time_column, timed, when
from apps.console.dialogs import ReasonDialog, dialog_action
from apps.console.saved_views import SavedView
from apps.core import clock
from apps.operations import approvals
from apps.operations.models import ApprovalRequest

Action, State = ApprovalRequest.Action, ApprovalRequest.State
SHOWN = 20  # people, of a request about many
OF_PEOPLE = (Action.SYNC_SELECTED, Action.SYNC_DIFFERING)
# Where the rows are that a request is about: the page, and the term that has their id.
ABOUT = {
    Action.SYNC_FAILED: ("operations_syncrun", "run"),
    Action.APPROVE_REVOCATION: ("operations_safeguardreview", "review"),
}
CARDINALITY = Func("row_ids", function="cardinality", output_field=IntegerField())
Rows = QuerySet[Any]


def _in_state(state: ApprovalRequest.State) -> Callable[[Rows], Rows]:
    return lambda rows: rows.filter(state=state)


def plan_address(row: ApprovalRequest) -> str:
    """Where the plan is that would follow for one person; empty where it is about others."""
    return reverse("admin:operations_approvalrequest_plan", args=[row.pk]) if row.action == Action.EXTEND_GRACE else ""


def read_compared(row: ApprovalRequest) -> dict[str, Any]:
    """For console/approval_facts.html."""
    compared = approvals.compare_facts(row)
    changed = any(one.has_changed for one in compared)
    return {"compared": compared, "changed": changed, "is_open": approvals.is_open(row), "plan_url": plan_address(row)}


class DecisionDialog(ReasonDialog):
    """Shows what was asked, what has changed since, and the plan of now."""

    model = ApprovalRequest
    form_before_template = "console/dialogs/approval.html"

    @override
    def context(self) -> dict[str, Any]:
        return read_compared(self.target)


def refuse_closed(row: ApprovalRequest) -> str:
    return "" if approvals.is_open(row) else "This request is no longer open."


@admin.register(ApprovalRequest)
class ApprovalRequestAdmin(ConsoleAdmin):
    """What waits comes by its own tab; what was decided stays readable."""

    few = True
    list_display = ("what", "about", "status", "asker", "reason", "asked", "ends", "decider")
    list_select_related = ("profile__user",)
    deferred = ("row_ids", "facts")
    views = (
        SavedView("waiting", "Waiting", lambda rows: rows.filter(state=State.PENDING, expires_at__gt=clock.now())),
        SavedView("approved", "Approved", _in_state(State.APPROVED)),
        SavedView("declined", "Declined", _in_state(State.DECLINED)),
    )
    search_by: ClassVar[dict[str, str]] = {
        "people": "profile", "number": "pk", "text": "requested_by__icontains decided_by__icontains",
    }  # fmt: skip
    search_help_text = "Number, username, email, cus_…, or who asked or decided"
    actions_detail: ClassVar[Any] = ["approve", "decline", "withdraw"]
    change_form_outer_before_template = "console/approval.html"
    fragments: ClassVar[dict[str, str]] = {"plan": "plan_view"}
    fieldsets = (("Request", {"fields": (("asker", "asked"), ("decider", "decided"), "ends")}),)

    person = person_column()
    asked = time_column("requested_at", "Asked")
    decided = time_column("decided_at", "Decided")

    @admin.display(description="Request", ordering="pk")
    def what(self, row: ApprovalRequest) -> str:
        return f"{row.action_label} ({row})"

    @admin.display(description="About")
    def about(self, row: Any) -> str | SafeString:
        """The subscriber, or how many."""
        if row.profile:
            return self.person(row)  # type: ignore[no-any-return]
        return f"{row.many} at once" if row.many else "–"

    @admin.display(description="State")
    def status(self, row: ApprovalRequest) -> SafeString:
        return state_badge(row) if row.state != State.PENDING or approvals.is_open(row) else badge("Expired")

    @admin.display(description="Asked by", ordering="requested_by")
    def asker(self, row: ApprovalRequest) -> str:
        return describe_actor(row.requested_by)

    @admin.display(description="Decided by", ordering="decided_by")
    def decider(self, row: ApprovalRequest) -> str:
        return describe_actor(row.decided_by) if row.decided_by else "–"

    @admin.display(description="Open until", ordering="expires_at")
    def ends(self, row: ApprovalRequest) -> SafeString:
        return timed(row.expires_at if approvals.is_open(row) else None)

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With how many rows each is about."""
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.annotate(many=CARDINALITY)  # type: ignore[no-any-return]

    # --- who may -------------------------------------------------------------------------------------------------------

    def has_decide_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Another person than who asked, with the right of what is asked for."""
        row = self.get_object(request, str(object_id)) if object_id else None
        return self._is_staff_who_acts(request) if row is None else approvals.may_decide(row, request.user)

    def has_withdraw_permission(self, request: HttpRequest, _object_id: str | None = None) -> bool:
        """Who can ask; the service refuses another than who asked."""
        return self._is_staff_who_acts(request)

    def _is_staff_who_acts(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("accounts.sync_userprofile"))

    @override
    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        """To withdraw is offered to who asked alone."""
        row = self.get_object(request, str(object_id))
        found = super().get_actions_detail(request, object_id)
        mine = row is not None and row.requested_by == approvals.actor_of(request.user)
        return [one for one in found if mine or not one.action_name.endswith("_withdraw")]

    # --- what is shown ---------------------------------------------------------------------------------------------------

    @override
    def page_context(self, request: HttpRequest, row: ApprovalRequest) -> dict[str, Any]:
        people = list_people(row) if row.action in OF_PEOPLE else []
        return read_compared(row) | {
            "request_row": row,
            "state": self.status(row),
            "sentence": describe(row, is_own=row.requested_by == approvals.actor_of(request.user)),
            "about": about_address(row),
            "people": people,
            "more": max(0, len(row.row_ids) - SHOWN),
        }

    def plan_view(self, request: HttpRequest, row: ApprovalRequest) -> HttpResponse:
        """What a sync would do if it were approved now; it asks Keycloak and is therefore loaded separately."""
        if row.action != Action.EXTEND_GRACE or row.profile is None:
            raise Http404
        known = read_facts(row.profile)
        until = overrides.extended_grace(known, days=row.terms["days"])
        imagined = overrides.imagine(row.profile, AccessOverride.Kind.NO_SUSPEND, until=until)
        return render(request, "console/dialogs/plan.html", subscriber_page.preview_plan(row.profile, imagined))

    # --- what is decided -------------------------------------------------------------------------------------------------

    @dialog_action(
        title="Approve", permission="decide", form=DecisionDialog, icon="check_circle", refuse=refuse_closed, danger=True,
        explain="It is done at once, as who asked filled it in. The audit log names both of you.",
    )  # fmt: skip
    def approve(self, request: HttpRequest, form: DecisionDialog) -> str:
        return approvals.approve(form.target, by=request.user, reason=form.cleaned_data["reason"])  # type: ignore[arg-type]

    @dialog_action(
        title="Decline", permission="decide", form=DecisionDialog, icon="cancel", refuse=refuse_closed, fresh=False,
        explain="Nothing is done. Who asked reads your reason here.",
    )  # fmt: skip
    def decline(self, request: HttpRequest, form: DecisionDialog) -> str:
        approvals.decline(form.target, by=request.user, reason=form.cleaned_data["reason"])  # type: ignore[arg-type]
        return f"Declined: {form.target}. Nothing was done."

    @dialog_action(
        title="Withdraw", permission="withdraw", form=DecisionDialog, icon="undo", refuse=refuse_closed, fresh=False,
        explain="You no longer need it. Nothing is done.",
    )  # fmt: skip
    def withdraw(self, request: HttpRequest, form: DecisionDialog) -> str:
        approvals.withdraw(form.target, by=request.user, reason=form.cleaned_data["reason"])  # type: ignore[arg-type]
        return f"Withdrawn: {form.target}. Nothing was done."


def describe(row: ApprovalRequest, *, is_own: bool) -> str:
    """What has become of it, or who may decide."""
    if not approvals.is_open(row):
        decided = {
            State.APPROVED: f"{describe_actor(row.decided_by)} approved it on {when(row.decided_at)}.",
            State.DECLINED: f"{describe_actor(row.decided_by)} declined it on {when(row.decided_at)}. Nothing was done.",
            State.WITHDRAWN: f"Withdrawn on {when(row.decided_at)}. Nothing was done.",
        }
        return decided.get(
            State(row.state), "Nobody decided in time. Nothing was done. If it is still needed, ask again."
        )
    until = when(row.expires_at)
    if is_own:
        return f"You asked for this, so another person has to decide, until {until}. Nothing is done before."
    return f"{describe_actor(row.requested_by)} asks for this. Nothing is done before another person approves it, until {until}."


def list_people(row: ApprovalRequest) -> list[dict[str, Any]]:
    """The first of those it is about, each with the address of the plan."""
    people = UserProfile.objects.filter(pk__in=row.row_ids[:SHOWN]).select_related("user").order_by("pk")
    return sync_run_page.list_plans(people)


def about_address(row: ApprovalRequest) -> str:
    """The page of the run or the review that it is about."""
    page, term = ABOUT.get(Action(row.action), ("", ""))
    return reverse(f"admin:{page}_change", args=[row.terms[term]]) if page else ""
