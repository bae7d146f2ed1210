"""Approvals: what one of staff may not do alone is asked for, and another person with the right approves or declines it.

Promises: nobody decides about their own request, which the database holds too; a request is decided once, by the first;
what is approved runs as if the person who asked had done it, by the same function, in the same transaction as the approval or
in a job of it, and each line of the audit trail then names both; what can no longer be done is refused and stays open. A service that does
something to many at once, or cannot be undone, begins with `refuse_alone`: whatever calls it, it does nothing before another
person has approved it.

    pending --approve-->  approved    by another person with the right of the action
            --decline-->  declined    by the same people
            --withdraw--> withdrawn   by who asked
            --time-->     expired     after APPROVAL_HOURS

An app registers what can be asked for with `register`, and asks with `ask`.
"""

import datetime as dt
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from apps.accounts.models import UserProfile
from apps.core import audit, clock, jobs
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.operations.models import ApprovalRequest

State = ApprovalRequest.State
Facts = list[list[str]]  # names and values, as staff read them
UNANSWERED = "Nobody decided in time."
ERASED = "Erased with the person."
KIND = "carry_out_approved"
STAFF = "staff:"  # begins the name of an actor who is one of staff


@dataclass(frozen=True)
class Approvable:
    """What can be asked for. `permission`: accounts' codename of who may approve it; `carry_out` returns what was done, as a sentence.

    `carry_out(request)` runs in a transaction, calls nobody, acts as `request.requested_by`, and raises BadInput when it cannot be done.
    `by_job`: it makes its own transactions and may be run again; a job runs it once the approval is written down. `always`: two people
    are needed however few it is about.
    """

    permission: str
    carry_out: Callable[[ApprovalRequest], str]
    read_facts: Callable[[ApprovalRequest], Facts]
    by_job: bool = False
    always: bool = False


ACTIONS: dict[str, Approvable] = {}
_approved: ContextVar[str] = ContextVar("approved", default="")  # the action that is carried out now


def register(action: ApprovalRequest.Action, approvable: Approvable) -> None:
    """Make an action known that needs two people."""
    ACTIONS[action] = approvable


def register_job() -> None:
    """The job of what is done after it was approved."""
    jobs.register(KIND, carry_out_later, label="Do what was approved")


def needs_two_people(count: int) -> bool:
    """Whether so many subscribers, or jobs, are more than one person may change at once."""
    return count > settings.TWO_PEOPLE_ABOVE


def has_another(permission: str, *, than: str) -> bool:
    """Whether somebody else of staff has this right of accounts', and so could approve what this actor asks for."""
    with_it = User.objects.filter(is_staff=True, is_active=True, groups__permissions__codename=permission)
    others = with_it.exclude(username=than.removeprefix(STAFF))
    return others.filter(groups__permissions__content_type__app_label="accounts").exists()


def needs_second(action: ApprovalRequest.Action, count: int, *, actor: str) -> bool:
    """Whether these are more than one of staff may do it to now. Who is alone with the right may, else nobody could."""
    if _approved.get() == action or not actor.startswith(STAFF):
        return False
    approvable = ACTIONS[action]
    return (approvable.always or needs_two_people(count)) and has_another(approvable.permission, than=actor)


def refuse_alone(action: ApprovalRequest.Action, count: int, *, actor: str) -> None:
    """Raise BadInput where another person has to approve it first, and has not."""
    if not needs_second(action, count, actor=actor):
        return
    if ACTIONS[action].always:
        raise BadInput("This needs a second person. Ask for approval on the subscriber's page first.")
    raise BadInput(
        f"These are {count}; more than {settings.TWO_PEOPLE_ABOVE} at once need a second person. Ask for approval first."
    )


def name_deciders(actor: str) -> str:
    """Who decided: the actor, and who approves it, if that is what happens now."""
    approver = audit.current_approver()
    return f"{actor}, approved by {approver.removeprefix('staff:')}"[:150] if approver else actor


def actor_of(user: Any) -> str:
    """How requests and the audit trail name one of staff."""
    return f"{STAFF}{user.get_username()}"


# --- asking ----------------------------------------------------------------------------------------------------------


@transaction.atomic
def ask(  # noqa: PLR0913  (all of a request)
    action: ApprovalRequest.Action,
    *,
    subject: str,
    actor: str,
    reason: str,
    profile: UserProfile | None = None,
    row_ids: Collection[int] = (),
    terms: dict[str, Any] | None = None,
) -> ApprovalRequest:
    """Ask for it; nothing else is done. BadInput while another request for the same waits."""
    now = clock.now()
    expire(now)
    row = ApprovalRequest(
        action=action, subject=subject, profile=profile, row_ids=sorted(row_ids), terms=terms or {}, requested_by=actor,
        reason=reason, requested_at=now, expires_at=now + dt.timedelta(hours=settings.APPROVAL_HOURS),
    )  # fmt: skip
    row.facts = ACTIONS[action].read_facts(row)
    try:
        with transaction.atomic():  # the database decides between two who ask at once
            row.save()
    except IntegrityError as error:
        open_one = ApprovalRequest.objects.filter(action=action, subject=subject, state=State.PENDING).first()
        who = f" by {open_one.requested_by.removeprefix('staff:')}, as {open_one}" if open_one else ""
        raise BadInput(f"This has been asked for already{who}. It waits for approval.") from error
    _record(row, AuditAction.APPROVAL_REQUESTED, actor=actor, reason=reason)
    return row


def expire(now: dt.datetime) -> int:
    """Close what nobody decided in time; returns how many."""
    late = ApprovalRequest.objects.filter(state=State.PENDING, expires_at__lte=now)
    return late.update(state=State.EXPIRED, decided_by=audit.SYSTEM, decided_at=now, decision_reason=UNANSWERED)


# --- deciding --------------------------------------------------------------------------------------------------------


def is_open(request: ApprovalRequest) -> bool:
    """Whether it can still be decided."""
    return request.state == State.PENDING and request.expires_at > clock.now()


def may_decide(request: ApprovalRequest, user: Any) -> bool:
    """Whether this person may approve or decline it: another one than who asked, with the right of the action."""
    right = f"accounts.{ACTIONS[request.action].permission}"
    return bool(user.has_perm(right)) and actor_of(user) != request.requested_by


@transaction.atomic
def approve(request: ApprovalRequest, *, by: User, reason: str) -> str:
    """Do what was asked for; returns what was done. BadInput when it is no longer open or can no longer be done."""
    row = _lock_open(request)
    _refuse_own(row, by)
    asker = User.objects.filter(username=row.requested_by.removeprefix("staff:"), is_staff=True, is_active=True)
    if not asker.exists():
        raise BadInput(
            "The person who asked for this is no longer a member of staff. Decline it, and do it yourself if it is right."
        )
    _close(row, State.APPROVED, by=by, reason=reason)  # first: an erasure also erases why
    if ACTIONS[row.action].by_job:
        jobs.defer(KIND, row.pk, reason=f"approved by {actor_of(by)}")
        outcome = "It is being done now."
    else:
        outcome = _carry_out(row)
    ApprovalRequest.objects.filter(pk=row.pk).exclude(decision_reason=ERASED).update(outcome=outcome[:300])
    _record(row, AuditAction.APPROVAL_GIVEN, actor=actor_of(by), reason=reason)
    return outcome


def carry_out_later(key: str) -> None:
    """The job: do what was approved, and note what has come of it."""
    row = ApprovalRequest.objects.select_related("profile__user").get(pk=key)
    if row.state != State.APPROVED:
        return
    try:
        outcome = _carry_out(row)
    except BadInput as refusal:
        outcome = refusal.message
    ApprovalRequest.objects.filter(pk=row.pk).exclude(decision_reason=ERASED).update(outcome=outcome[:300])


def _carry_out(row: ApprovalRequest) -> str:
    with audit.approved_by(row.decided_by), _carrying_out(row.action):
        return ACTIONS[row.action].carry_out(row)


@contextmanager
def _carrying_out(action: str) -> Iterator[None]:
    """What is done inside was approved."""
    before = _approved.set(action)
    try:
        yield
    finally:
        _approved.reset(before)


@transaction.atomic
def decline(request: ApprovalRequest, *, by: User, reason: str) -> None:
    """Close it without doing anything."""
    row = _lock_open(request)
    _refuse_own(row, by)
    _close(row, State.DECLINED, by=by, reason=reason)
    _record(row, AuditAction.APPROVAL_DECLINED, actor=actor_of(by), reason=reason)


@transaction.atomic
def withdraw(request: ApprovalRequest, *, by: User, reason: str) -> None:
    """Take one's own request back."""
    row = _lock_open(request)
    if row.requested_by != actor_of(by):
        raise BadInput("Only the person who asked can withdraw it.")
    _close(row, State.WITHDRAWN, by=by, reason=reason)
    _record(row, AuditAction.APPROVAL_WITHDRAWN, actor=actor_of(by), reason=reason)


def _lock_open(request: ApprovalRequest) -> ApprovalRequest:
    """The row, locked until the transaction ends: of two who decide at once the second finds it decided."""
    row = _read_locked(request.pk)
    if not is_open(row):
        label = State(row.state).label if row.state != State.PENDING else State.EXPIRED.label
        raise BadInput(f"This request is no longer open: {label.lower()}.")
    return row


def _read_locked(pk: int) -> ApprovalRequest:
    return ApprovalRequest.objects.select_for_update(of=("self",)).select_related("profile__user").get(pk=pk)


def _refuse_own(row: ApprovalRequest, user: User) -> None:
    if not may_decide(row, user):
        raise BadInput("Another person with the right to do it has to decide this.")


def _close(row: ApprovalRequest, state: State, *, by: User, reason: str) -> None:
    row.state, row.decided_by, row.decided_at, row.decision_reason = state, actor_of(by), clock.now(), reason
    row.save(update_fields=["state", "decided_by", "decided_at", "decision_reason"])


def _record(row: ApprovalRequest, action: AuditAction, *, actor: str, reason: str) -> None:
    """In the timeline of the person it is about, or of the request."""
    after = {
        "request": row.pk,
        "asked_for": row.action,
        "asked_by": row.requested_by,
        "rows": len(row.row_ids),
    } | row.terms
    subject = row.profile.subject if row.profile else ("approvalrequest", row.pk)
    audit.record(subject=subject, action=action, actor=actor, reason=reason, after=after)


# --- reading ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ComparedFact:
    """One fact when it was asked, and now."""

    name: str
    then: str
    now: str

    @property
    def has_changed(self) -> bool:
        return self.then != self.now


def compare_facts(request: ApprovalRequest) -> list[ComparedFact]:
    """What was so when it was asked beside what is so now; of one that is closed, only the former."""
    then = _by_name(request.facts)
    now = _read_facts_now(request) if is_open(request) else then
    return [ComparedFact(name, then.get(name, "–"), now.get(name, "–")) for name in {**then, **now}]


def _read_facts_now(request: ApprovalRequest) -> dict[str, str]:
    try:
        return _by_name(ACTIONS[request.action].read_facts(request))
    except BadInput as gone:
        return {"It can be done": gone.message}


def _by_name(facts: Facts) -> dict[str, str]:
    return {one[0]: one[1] for one in facts}


def requests_about(profile: UserProfile) -> QuerySet[ApprovalRequest]:
    """What was asked about one person, decided or not."""
    return ApprovalRequest.objects.filter(profile=profile)


def erase_reasons(profile: UserProfile) -> int:
    """Staff may have named the person: leave out why, and close what waits."""
    mine = requests_about(profile)
    mine.filter(state=State.PENDING).update(
        state=State.EXPIRED, decided_by=audit.SYSTEM, decided_at=clock.now(), decision_reason=ERASED
    )
    return mine.update(reason=ERASED, outcome="") + mine.exclude(decision_reason="").update(decision_reason=ERASED)
