"""What staff can ask approval for: who may approve each, what it then does, and the facts that a decision rests on.

`carry_out` calls the function that the dialog of the action calls. Retries of jobs and emails register their own.
"""

from typing import Any

from apps.access import overrides
from apps.access.facts import read_facts
from apps.access.policy import decide
from apps.accounts.erasers import ERASERS, PersonRows
from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.core.dates import last_day
from apps.core.errors import BadInput
from apps.instances.models import Instance
from apps.operations import (
    approvals,
    erasure_rows,
    imports,
    privacy,
    privacy_requests,
    safeguard,
    seat_plans,
    sync_runs,
)
from apps.operations.approvals import Approvable, Facts
from apps.operations.models import ApprovalRequest, CustomerImport, SafeguardReview, SeatPlan, SyncRun

COUNTED = 2000  # people; of more it is not counted who would lose access before the run does
Action = ApprovalRequest.Action


def register() -> None:
    """What operations offer; each with the right that its dialog asks for, but that an operator extends what support may not."""
    approvals.register_job()
    ERASERS["reasons of approval requests"] = PersonRows(approvals.requests_about, approvals.erase_reasons)
    approvals.register(Action.EXTEND_GRACE, Approvable("override_access", extend_grace, grace_facts))
    approvals.register(Action.SYNC_SELECTED, Approvable("sync_userprofile", start_run, run_facts))
    approvals.register(Action.SYNC_DIFFERING, Approvable("override_access", start_run, run_facts))
    approvals.register(Action.SYNC_FAILED, Approvable("sync_userprofile", run_again, failed_facts))
    approvals.register(Action.ERASE_PERSON, Approvable("erase_person", erase_person, erasure_facts, always=True))
    approvals.register(Action.START_SEAT_PLAN, Approvable("change_capacity", start_plan, plan_facts))
    approvals.register(Action.START_IMPORT, Approvable("import_customers", start_import, import_facts))
    approvals.register(Action.UNDO_IMPORT, Approvable("import_customers", undo_import, import_facts))
    approvals.register(Action.APPROVE_REVOCATION, Approvable("approve_revocations", approve_loss, loss_facts))


def _why(request: ApprovalRequest) -> dict[str, Any]:
    return {"actor": request.requested_by, "reason": request.reason}


# --- a longer grace period -------------------------------------------------------------------------------------------


def extend_grace(request: ApprovalRequest) -> str:
    """Give the days of the request, beyond what support may give alone."""
    profile = _person(request)
    made = overrides.extend_grace(profile=profile, days=request.terms["days"], approved=True, **_why(request))
    return f"The grace period of {profile} is extended to the end of {last_day(made.ends_at)}."


def grace_facts(request: ApprovalRequest) -> Facts:
    """Whether it can be done, what would be given, and why it was asked."""
    profile, days = _person(request), request.terms["days"]
    known = read_facts(profile)
    refusal = overrides.refuse_grace(known)
    return [
        ["State", decide(known).state.label],
        ["A payment is late", refusal or "Yes"],
        ["Last day of grace", last_day(overrides.extended_grace(known, days=days))],
        [
            "Why it needs approval",
            overrides.refuse_alone(profile, days) or "It is within what support may do alone by now",
        ],
    ]


def _person(request: ApprovalRequest) -> UserProfile:
    if request.profile is None:
        raise BadInput("The subscriber is gone.")
    return request.profile


# --- erasing a person -------------------------------------------------------------------------------------------------


def erase_person(request: ApprovalRequest) -> str:
    """Erase who was asked about."""
    profile = _person(request)
    receipt = privacy_requests.erase(profile, **_why(request))
    return f"Subscriber {profile.pk} is erased here, with receipt {receipt.pk}."


def erasure_facts(request: ApprovalRequest) -> Facts:
    """Whether it can be done, and how many rows would go."""
    profile = _person(request)
    rows = sum(erasure_rows.count_rows(profile).values())
    return [["It can be done", privacy.refuse_erasing(profile) or "Yes"], ["Rows that would go", str(rows)]]


# --- many at once ----------------------------------------------------------------------------------------------------


def start_run(request: ApprovalRequest) -> str:
    """Sync those who were chosen then."""
    scope = SyncRun.Scope.DIFFERING if request.action == Action.SYNC_DIFFERING else SyncRun.Scope.SELECTED
    run = sync_runs.start_sync_run(request.row_ids, scope=scope, **_why(request))
    return f"{run.total} will be synced, as {run}."


def run_facts(request: ApprovalRequest) -> Facts:
    """How many they are, and how many would lose access."""
    many = len(request.row_ids)
    losing = str(len(safeguard.find_losing(request.row_ids))) if many <= COUNTED else "not counted"
    return [["Subscribers", str(many)], ["Would lose access", losing]]


def run_again(request: ApprovalRequest) -> str:
    """Retry those of the run who have failed by now."""
    return f"{sync_runs.retry_failed(_run(request), **_why(request))} will be retried, as {_run(request)}."


def failed_facts(request: ApprovalRequest) -> Facts:
    """How many of the run have failed."""
    run = _run(request)
    return [["Run", str(run.pk)], ["Failed", str(sync_runs.failed_results(run).count())]]


def _run(request: ApprovalRequest) -> SyncRun:
    if run := SyncRun.objects.filter(pk=request.terms["run"]).first():
        return run
    raise BadInput("The run is gone.")


# --- a seat plan ------------------------------------------------------------------------------------------------------


def start_plan(request: ApprovalRequest) -> str:
    """Drain or even out, if it is still as many."""
    plan = seat_plans.start(_proposed(request), expected=request.terms["moves"], **_why(request))
    return f"{request.terms['moves']} people are asked whether they move, by {plan}."


def plan_facts(request: ApprovalRequest) -> Facts:
    """What would be planned."""
    found = _proposed(request)
    what = f"Drain {found.instance}" if found.instance else f"Even out the instances of {found.product.name}"
    return [["Plan", what], ["Would be asked", str(found.placed)], ["No room for", str(found.unplaced)]]


def _proposed(request: ApprovalRequest) -> seat_plans.ProposedPlan:
    terms = request.terms
    product = Product.objects.filter(pk=terms["product"]).first()
    instance = Instance.objects.filter(pk=terms["instance"]).first() if terms["instance"] else None
    if product is None or (instance is None) is not (terms["kind"] == SeatPlan.Kind.REBALANCE):
        raise BadInput("The product or the instance is gone.")
    return seat_plans.propose(SeatPlan.Kind(terms["kind"]), product, instance)


# --- an import --------------------------------------------------------------------------------------------------------


def start_import(request: ApprovalRequest) -> str:
    """Import, or continue, if it is still as many."""
    run, expected = _import(request), request.terms["expected"]
    if request.terms.get("continues"):
        imports.resume(run, expected=expected, **_why(request))
        return f"{run} continues, with {expected}."
    imports.start(run, expected=expected, sends_emails=request.terms["sends_emails"], **_why(request))
    return f"{expected} are being imported, by {run}."


def undo_import(request: ApprovalRequest) -> str:
    """Undo it, if it is still as many."""
    run, expected = _import(request), request.terms["expected"]
    imports.undo(run, expected=expected, **_why(request))
    return f"{run} is being undone, for {expected}."


def import_facts(request: ApprovalRequest) -> Facts:
    """What would happen, and how the import is."""
    run = _import(request)
    emails = bool(request.terms.get("sends_emails"))
    return [
        ["Import", f"{run.pk}: {run.get_source_display()}, {run.get_state_display().lower()}"],
        ["Would be imported", str(imports.count_ready(run, sends_emails=emails))],
        ["Are imported", str(imports.imported_rows(run).count())],
        ["Emails to set a password", "Yes" if emails else "No"],
    ]


def _import(request: ApprovalRequest) -> CustomerImport:
    if run := CustomerImport.objects.filter(pk=request.terms["import"]).first():
        return run
    raise BadInput("The import is gone.")


def approve_loss(request: ApprovalRequest) -> str:
    """Let the sweep go on, with the number shown then."""
    review, expected = _review(request), request.terms["expected"]
    safeguard.approve(review, expected=expected, **_why(request))
    return f"{review.sweep_label} continues, and may take access from these {expected}."


def loss_facts(request: ApprovalRequest) -> Facts:
    """What the review says."""
    review = _review(request)
    return [
        ["Sweep", review.sweep_label],
        ["Review", f"{review.pk}: {review.get_state_display()}"],
        ["Would lose access", f"{len(review.profile_ids)} of {review.with_access}"],
    ]


def _review(request: ApprovalRequest) -> SafeguardReview:
    if review := SafeguardReview.objects.filter(pk=request.terms["review"]).first():
        return review
    raise BadInput("The review is gone.")
