"""Whether a second person is needed is the service's to say: whatever calls it, one of staff alone does nothing to more than twenty."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from apps.accounts.models import UserProfile
from apps.core import clock, jobs
from apps.core.errors import BadInput
from apps.core.models import AuditEntry, Job
from apps.notifications.models import Notification
from apps.onboarding import invitations, waitlist
from apps.onboarding.models import WaitlistEntry
from apps.operations import approvals, emails_again, imports, job_retries, privacy, safeguard, seat_plans, sync_runs
from apps.operations.models import (
    ApprovalRequest,
    CustomerImport,
    ImportRow,
    SafeguardReview,
    SeatPlan,
    SyncResult,
    SyncRun,
)
from tests.access.test_repeated_emails import told
from tests.instances import house
from tests.operations.test_approvals import person
from tests.operations.test_safeguard import late
from tests.operations.test_seat_plans import seated

pytestmark = pytest.mark.django_db
Action, Scope = ApprovalRequest.Action, SyncRun.Scope
WHY = {"actor": "staff:olga", "reason": "After the long outage"}
MANY = 21
REFUSED = f"These are {MANY}; more than 20 at once need a second person"


@pytest.fixture
def people(settings: Any) -> list[UserProfile]:
    """Who would all lose access if synced now."""
    settings.PAYMENT_GRACE_DAYS = 0
    return late(MANY)


@pytest.fixture(autouse=True)
def ann(db: None) -> User:
    """An admin who could approve what Olga, another, asks for."""
    person("admin", "olga")
    return person("admin", "ann")


def stuck_jobs(count: int) -> list[Job]:
    now = clock.now()
    fields = {"kind": "reconcile", "state": "dead", "not_before": now, "created_at": now, "finished_at": now}
    return Job.objects.bulk_create(Job(key=f"{n}", lane=f"{n}", **fields) for n in range(count))


def failed_run(people: list[UserProfile]) -> SyncRun:
    run = SyncRun.objects.create(scope="selected", total=len(people), created_at=clock.now(), **WHY)
    SyncResult.objects.bulk_create(SyncResult(run=run, profile=one, generation=1) for one in people)
    for one in people:
        Job.objects.create(
            kind="reconcile",
            key=str(one.pk),
            lane=f"l{one.pk}",
            state="dead",
            not_before=clock.now(),
            created_at=clock.now(),
        )
    return run


def review_of(people: list[UserProfile]) -> SafeguardReview:
    ids, now = [one.pk for one in people], clock.now()
    return SafeguardReview.objects.create(
        sweep="reconcile_all",
        state="pending",
        profile_ids=ids,
        with_access=len(ids),
        opened_at=now,
        seen_at=now,
        job_key="periodic",
    )


Case = tuple[ApprovalRequest.Action, Callable[[], Any], dict[str, Any], Callable[[], int]]


def case_of(action: ApprovalRequest.Action, people: list[UserProfile]) -> Case:
    """The call, what a request says that asks for the same, and how much of it is done."""
    ids = [one.pk for one in people]
    if action in (Action.SYNC_SELECTED, Action.SYNC_DIFFERING):
        scope = Scope.SELECTED if action == Action.SYNC_SELECTED else Scope.DIFFERING
        return (
            action,
            lambda: sync_runs.start_sync_run(ids, scope=scope, **WHY),
            {"row_ids": ids},
            SyncRun.objects.count,
        )
    if action == Action.SYNC_FAILED:
        run = failed_run(people)
        again = AuditEntry.objects.filter(action="sync_run_retried").count
        return action, lambda: sync_runs.retry_failed(run, **WHY), {"terms": {"run": run.pk}}, again
    if action == Action.RETRY_JOBS:
        stuck = stuck_jobs(len(people))
        retried = AuditEntry.objects.filter(action="job_retried").count
        return action, lambda: job_retries.retry_each(stuck, **WHY), {"row_ids": [one.pk for one in stuck]}, retried
    if action == Action.SEND_EMAILS_AGAIN:
        UserProfile.objects.filter(pk__in=ids).update(access_state="active")  # what the email says is true
        emails = [told(one) for one in UserProfile.objects.filter(pk__in=ids)]
        sent = Notification.objects.exclude(repeats=None).count
        return (
            action,
            lambda: emails_again.send_each_again(emails, **WHY),
            {"row_ids": [one.pk for one in emails]},
            sent,
        )
    if action == Action.START_SEAT_PLAN:
        product = house.app()
        old = house.instance(product, 90, 95, 99)
        seated(product, len(people))
        house.instance(product, 90, 95, 99)
        plan = seat_plans.propose(SeatPlan.Kind.DRAIN, product, old)
        asked = {"kind": "drain", "product": product.pk, "instance": old.pk, "moves": plan.placed}
        return (
            action,
            lambda: seat_plans.start(plan, expected=plan.placed, **WHY),
            {"terms": asked},
            SeatPlan.objects.count,
        )
    if action in (Action.START_IMPORT, Action.UNDO_IMPORT):
        return import_case(action, people)
    if action == Action.INVITE_NEXT:
        now = clock.now()
        waiting = [WaitlistEntry(email=one.email, product=None, created_at=now, confirmed_at=now) for one in people]
        entries = [one.pk for one in WaitlistEntry.objects.bulk_create(waiting)]
        invited = WaitlistEntry.objects.filter(state="invited").count
        asked = {"product": None, "entries": [str(one) for one in entries]}
        return action, lambda: invitations.invite_all(entries, **WHY), {"terms": asked}, invited
    review = review_of(people)
    approved = SafeguardReview.objects.filter(state="confirmed").count
    terms = {"review": review.pk, "expected": len(people)}
    return action, lambda: safeguard.approve(review, expected=len(people), **WHY), {"terms": terms}, approved


def import_case(action: ApprovalRequest.Action, people: list[UserProfile]) -> Any:
    """An import with a row for each: ready, or imported."""
    done, now = action == Action.UNDO_IMPORT, clock.now()
    run = CustomerImport.objects.create(
        source="csv",
        state="done" if done else "planned",
        created_at=now,
        checked_at=now,
        ended_at=now if done else None,
        **WHY,
    )
    row = {"state": "imported", "imported_at": now} if done else {}
    ImportRow.objects.bulk_create(
        ImportRow(run=run, number=number, verdict="ready", profile=one if done else None, **row)
        for number, one in enumerate(people, 2)
    )
    expected = {"import": run.pk, "expected": len(people), "sends_emails": False}
    begun = CustomerImport.objects.filter(state__in=["running", "undoing"]).count
    if done:
        return action, lambda: imports.undo(run, expected=len(people), **WHY), {"terms": expected}, begun
    return (
        action,
        lambda: imports.start(run, expected=len(people), sends_emails=False, **WHY),
        {"terms": expected},
        begun,
    )


ALL = tuple(one for one in Action if one not in (Action.EXTEND_GRACE, Action.ERASE_PERSON))


@pytest.mark.parametrize("action", ALL)
def test_more_than_twenty_wait_for_another_person(
    action: ApprovalRequest.Action, people: list[UserProfile], ann: User
) -> None:
    _, call, terms, count = case_of(action, people)
    with pytest.raises(BadInput, match=REFUSED):
        call()
    assert count() == 0
    asked = approvals.ask(action, subject="these", **terms, **WHY)
    approvals.approve(asked, by=ann, reason="I have checked them")
    if approvals.ACTIONS[action].by_job:
        assert Job.objects.filter(kind=approvals.KIND, key=asked.pk, state="queued").exists()
        approvals.carry_out_later(str(asked.pk))
    assert count() >= 1
    with pytest.raises(BadInput):  # the approval was of that one
        case_of(action, late(MANY, start=100))[1]()


@pytest.mark.parametrize("action", ALL)
def test_who_is_alone_with_the_right_may_and_so_may_all_for_twenty(
    action: ApprovalRequest.Action, people: list[UserProfile], ann: User
) -> None:
    _, call, _, count = case_of(action, people[1:])
    call()
    assert (before := count()) >= 1
    User.objects.filter(pk=ann.pk).update(is_active=False)
    case_of(action, late(MANY, start=100))[1]()
    assert count() > before


def test_a_large_import_continues_after_a_pause_when_another_person_agrees(ann: User) -> None:
    action, _, terms, count = case_of(Action.START_IMPORT, late(MANY))
    approvals.approve(approvals.ask(action, subject="start", **terms, **WHY), by=ann, reason="I have checked them")
    run = CustomerImport.objects.get()
    imports.pause(run, **WHY)
    with pytest.raises(BadInput, match=REFUSED):
        imports.resume(run, **WHY)
    again = {"terms": terms["terms"] | {"continues": True}}
    asked = approvals.ask(action, subject="continue", **again, **WHY)
    run.rows.filter(number=2).update(verdict="conflict")
    with pytest.raises(BadInput, match=f"{MANY - 1} would be imported now, and not {MANY}"):
        approvals.approve(asked, by=ann, reason="I have checked them")
    run.rows.filter(number=2).update(verdict="ready")
    approvals.approve(asked, by=ann, reason="I have checked them")
    run.refresh_from_db()
    assert (run.state, count()) == ("running", 1)


def test_one_person_alone_erases_nobody_whom_another_could_approve(ann: User) -> None:
    gone, left = house.person(), house.person()
    with pytest.raises(BadInput, match="needs a second person"):
        privacy.erase(gone, **WHY)
    for actor, refused in (("staff:olga", "needs a second person"), ("olga", "staff:NAME")):
        with pytest.raises(CommandError, match=refused):
            call_command("erase_person", str(gone.pk), "--actor", actor, "--reason", "asked by letter")
    assert privacy.find_receipt(gone) is None
    asked = approvals.ask(Action.ERASE_PERSON, subject=f"profile:{gone.pk}", profile=gone, **WHY)
    approvals.approve(asked, by=ann, reason="I have read the letter")
    receipt = privacy.find_receipt(gone)
    assert receipt is not None
    assert (receipt.actor, receipt.after["approved_by"]) == ("staff:olga", "staff:ann")
    privacy.erase(left, actor="system", reason="The retention of expired customers is over.")
    assert privacy.find_receipt(left) is not None


def test_what_an_approved_invitation_did_is_noted_also_when_its_job_was_cut_off(ann: User) -> None:
    action, _, terms, count = case_of(Action.INVITE_NEXT, late(MANY))
    asked = approvals.ask(action, subject="waitlist:any", **terms, **WHY)
    approvals.approve(asked, by=ann, reason="I have checked them")
    first = WaitlistEntry.objects.order_by("pk")[0]
    waitlist.invite(first.pk, **WHY)  # as far as a first run came
    waitlist.leave(WaitlistEntry.objects.order_by("pk")[1].pk)
    jobs.KINDS[approvals.KIND].handler(str(asked.pk))
    asked.refresh_from_db()
    assert count() == MANY - 1
    assert asked.outcome == f"{MANY - 1} addresses are invited. 1 not: This entry is no longer waiting."
    line = AuditEntry.objects.filter(action="waitlist_invited").order_by("-pk")[0]
    assert (line.actor, line.after["approved_by"]) == ("staff:olga", "staff:ann")


def test_people_who_lose_nothing_are_synced_by_one_person(settings: Any) -> None:
    settings.PAYMENT_GRACE_DAYS = 3
    run = sync_runs.start_sync_run([one.pk for one in late(MANY)], scope=Scope.SELECTED, **WHY)
    assert run.total == MANY


def test_a_review_names_who_asked_and_who_approved(people: list[UserProfile], ann: User) -> None:
    review = review_of(people)
    terms = {"review": review.pk, "expected": MANY}
    approvals.approve(
        approvals.ask(Action.APPROVE_REVOCATION, subject="r", terms=terms, **WHY), by=ann, reason="Agreed by the board"
    )
    review.refresh_from_db()
    assert (review.state, review.decided_by) == ("confirmed", "staff:olga, approved by ann")
