"""Privacy requests: what people asked for, until when the law wants an answer, and what was answered (GDPR, article 12(3)).

Promises: of each kind a person has one open request; erasing closes it; a request that is closed stays as proof, without a name.
"""

import calendar
import datetime as dt

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from apps.accounts import legal_holds
from apps.accounts.erasers import is_erased
from apps.accounts.models import PrivacyRequest, UserProfile
from apps.accounts.people_locks import lock_shared
from apps.core import audit, clock
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.core.models import AuditEntry
from apps.operations import privacy

SOON = dt.timedelta(days=7)
State = PrivacyRequest.State


def find_due_day(received: dt.date) -> dt.date:
    """A month later: the same day of the next month, or its last one where it is shorter."""
    year, month = received.year + received.month // 12, received.month % 12 + 1
    return dt.date(year, month, min(received.day, calendar.monthrange(year, month)[1]))


@transaction.atomic
def receive(profile: UserProfile, *, kind: str, received_on: dt.date, actor: str, reason: str) -> PrivacyRequest:
    """Write down what somebody asked for; `reason` says how it came in. BadInput when that is open already."""
    locked = legal_holds.lock(profile)
    if is_erased(locked):
        raise BadInput("This subscriber is erased already.")
    if received_on > clock.now().date():
        raise BadInput("That day is not over yet.", field="received_on")
    if list_open().filter(profile=locked, kind=kind).exists():
        raise BadInput("Such a request is open already.", field="kind")
    row = PrivacyRequest.objects.create(
        profile=locked, kind=kind, received_on=received_on, due_on=find_due_day(received_on), opened_by=actor,
        opened_at=clock.now(), note=reason,
    )  # fmt: skip
    after = {"request": row.pk, "kind": kind, "due": row.due_on.isoformat()}
    action = AuditAction.PRIVACY_REQUEST_RECEIVED
    audit.record(subject=locked.subject, action=action, actor=actor, reason=reason, after=after)
    return row


@transaction.atomic
def close(request: PrivacyRequest, *, state: str, actor: str, reason: str) -> None:
    """Write down what was answered. Erasure is done by erasing, not by saying so. BadInput when it is closed."""
    if request.kind == PrivacyRequest.Kind.ERASURE and state == State.DONE:
        raise BadInput("The request is done once the person is erased: open their page and erase them.", field="state")
    values = {"state": state, "closed_by": actor, "closed_at": clock.now(), "outcome": reason}
    if not list_open().filter(pk=request.pk).update(**values):
        raise BadInput("This request is closed already.")
    after, action = {"request": request.pk, "state": state}, AuditAction.PRIVACY_REQUEST_CLOSED
    audit.record(subject=request.profile.subject, action=action, actor=actor, reason=reason, after=after)


@transaction.atomic
def erase(profile: UserProfile, *, actor: str, reason: str) -> AuditEntry:
    """Erase a person on request; a request that nobody has written down is, as received today."""
    lock_shared(profile.pk)
    mine = list_open().filter(profile=profile, kind=PrivacyRequest.Kind.ERASURE)
    if not mine.exists() and not is_erased(profile):
        today = clock.now().date()
        receive(profile, kind=PrivacyRequest.Kind.ERASURE, received_on=today, actor=actor, reason=reason)
    return privacy.erase(profile, actor=actor, reason=reason)


def list_open() -> QuerySet[PrivacyRequest]:
    """Those that nobody has answered."""
    return PrivacyRequest.objects.filter(state=State.OPEN)


# --- what the list asks ----------------------------------------------------------------------------------------------


def due_soon(rows: QuerySet[PrivacyRequest]) -> QuerySet[PrivacyRequest]:
    """Open and due within a week, or late."""
    return rows.filter(state=State.OPEN, due_on__lte=clock.now().date() + SOON)


def under_hold(rows: QuerySet[PrivacyRequest]) -> QuerySet[PrivacyRequest]:
    """Open and about people whose data a legal hold keeps."""
    return rows.filter(state=State.OPEN, profile__in=legal_holds.held_profiles())


def with_holds(rows: QuerySet[PrivacyRequest]) -> QuerySet[PrivacyRequest]:
    """Each with `is_held`: whether a legal hold keeps the data of the person."""
    return rows.annotate(is_held=Exists(legal_holds.in_force().filter(profile=OuterRef("profile"))))
