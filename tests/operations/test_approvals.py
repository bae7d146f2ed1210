"""What one person may not do alone: another one approves it once, whoever else clicks at that moment."""

import datetime as dt
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import IntegrityError, transaction

from apps.access.models import AccessOverride
from apps.accounts.models import UserProfile
from apps.accounts.roles import sync_staff_permissions
from apps.billing.models import Subscription
from apps.core import clock
from apps.core.errors import BadInput
from apps.core.models import AuditEntry
from apps.operations import approvals, privacy
from apps.operations.models import ApprovalRequest
from tests.instances import house
from tests.operations.test_safeguard import late

pytestmark = pytest.mark.django_db(transaction=True)
Action = ApprovalRequest.Action
WHY = "She is in hospital until spring"
AGREED = "I have read her letter"


def person(role: str, name: str) -> User:
    """One of staff with that role."""
    sync_staff_permissions()
    user = User.objects.create(username=name, is_staff=True)
    user.groups.set([Group.objects.get(name=role)])
    return user


@pytest.fixture
def sam() -> User:
    return person("support", "sam")


@pytest.fixture
def olga() -> User:
    return person("operator", "olga")


def ask(who: User, profile: UserProfile, days: int = 60) -> ApprovalRequest:
    return approvals.ask(
        Action.EXTEND_GRACE, subject=f"profile:{profile.pk}", profile=profile, terms={"days": days},
        actor=approvals.actor_of(who), reason=WHY,
    )  # fmt: skip


@pytest.fixture
def asked(sam: User) -> ApprovalRequest:
    """Sixty days more, which support may not give."""
    return ask(sam, late(1)[0])


def overrides_of(request: ApprovalRequest) -> list[tuple[str, str]]:
    return list(AccessOverride.objects.filter(profile=request.profile).values_list("created_by", "reason"))


def test_what_is_approved_is_done_as_who_asked_and_the_trail_names_both(asked: ApprovalRequest, olga: User) -> None:
    said = approvals.approve(asked, by=olga, reason=AGREED)
    assert "is extended to the end of" in said
    assert overrides_of(asked) == [("staff:sam", WHY)]
    line = AuditEntry.objects.get(action="override_added")
    assert (line.actor, line.after["approved_by"]) == ("staff:sam", "staff:olga")
    given = AuditEntry.objects.get(action="approval_given")
    assert (given.actor, given.reason, given.after["asked_by"]) == ("staff:olga", AGREED, "staff:sam")
    assert "approved_by" not in AuditEntry.objects.latest("id").after, "it ends with the approval"
    asked.refresh_from_db()
    assert (asked.state, asked.decided_by, asked.outcome) == ("approved", "staff:olga", said)


def test_nobody_decides_about_their_own_request_also_past_the_code(olga: User) -> None:
    own = ask(olga, late(1)[0])
    for decide in (approvals.approve, approvals.decline):
        with pytest.raises(BadInput, match="Another person"):
            decide(own, by=olga, reason=AGREED)
    decided = {"state": "approved", "decided_by": "staff:olga", "decided_at": clock.now(), "decision_reason": AGREED}
    with pytest.raises(IntegrityError, match="approval_by_another_person"), transaction.atomic():
        ApprovalRequest.objects.filter(pk=own.pk).update(**decided)
    assert not overrides_of(own)


def test_who_lacks_the_right_decides_nothing(asked: ApprovalRequest) -> None:
    for role in ("viewer", "support"):
        with pytest.raises(BadInput, match="Another person with the right"):
            approvals.approve(asked, by=person(role, f"other-{role}"), reason=AGREED)
    assert not overrides_of(asked)


def test_what_is_declined_withdrawn_or_late_is_not_done(sam: User, olga: User, settings: Any) -> None:
    declined, withdrawn, ignored = (ask(sam, one) for one in late(3))
    approvals.decline(declined, by=olga, reason="Two weeks are enough")
    with pytest.raises(BadInput, match="Only the person who asked"):
        approvals.withdraw(withdrawn, by=olga, reason="not mine")
    approvals.withdraw(withdrawn, by=sam, reason="She has paid")
    ApprovalRequest.objects.filter(pk=ignored.pk).update(expires_at=clock.now())
    for one in (declined, withdrawn, ignored):
        with pytest.raises(BadInput, match="no longer open"):
            approvals.approve(one, by=olga, reason=AGREED)
    assert not AccessOverride.objects.exists()
    assert ignored.expires_at - ignored.requested_at == dt.timedelta(hours=settings.APPROVAL_HOURS)
    assert ask(sam, ignored.profile), "what has expired may be asked again"  # type: ignore[arg-type]
    assert ApprovalRequest.objects.get(pk=ignored.pk).state == "expired"


def test_what_can_no_longer_be_done_stays_open_and_shows_what_changed(asked: ApprovalRequest, olga: User) -> None:
    assert not [one for one in approvals.compare_facts(asked) if one.has_changed]
    Subscription.objects.update(status="active", past_due_since=None)
    changed = {one.name: (one.then, one.now) for one in approvals.compare_facts(asked) if one.has_changed}
    assert changed["State"] == ("Suspended", "Active")
    assert changed["A payment is late"][0] == "Yes"
    with pytest.raises(BadInput, match="No payment of this subscriber is late"):
        approvals.approve(asked, by=olga, reason=AGREED)
    asked.refresh_from_db()
    assert approvals.is_open(asked)
    assert not AuditEntry.objects.filter(action="approval_given").exists()


def test_a_request_of_somebody_who_left_staff_is_not_done(asked: ApprovalRequest, sam: User, olga: User) -> None:
    User.objects.filter(pk=sam.pk).update(is_staff=False)
    with pytest.raises(BadInput, match="no longer a member of staff"):
        approvals.approve(asked, by=olga, reason=AGREED)
    assert not overrides_of(asked)


def test_erasing_a_person_takes_the_reasons_and_closes_what_waits(asked: ApprovalRequest) -> None:
    profile = asked.profile
    assert profile is not None
    UserProfile.objects.filter(pk=profile.pk).update(subscription_status="canceled")
    privacy.erase(profile, actor="staff:ada", reason="She asked for it")
    asked.refresh_from_db()
    assert (asked.state, WHY in str(asked.__dict__)) == ("expired", False)


# --- at the same moment ----------------------------------------------------------------------------------------------


def decide_at_once(request: ApprovalRequest, *calls: Callable[..., Any]) -> list[Any]:
    return house.at_once([partial(one, request) for one in calls], clients=len(calls))


def approve_at_once(request: ApprovalRequest) -> int:
    """How often it was done, when six operators approve it at one moment."""
    people = [person("operator", f"olga-{number}") for number in range(6)]
    decide_at_once(request, *(partial(approvals.approve, by=one, reason=AGREED) for one in people))
    return AccessOverride.objects.count()


def test_six_who_approve_at_once_do_it_once(asked: ApprovalRequest) -> None:
    assert approve_at_once(asked) == 1
    assert AuditEntry.objects.filter(action="approval_given").count() == 1


@pytest.mark.mutant
def test_mutant_without_the_lock_it_is_done_several_times(
    asked: ApprovalRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approvals, "_read_locked", read_unlocked)
    assert approve_at_once(asked) > 1


def read_unlocked(pk: int) -> ApprovalRequest:
    return ApprovalRequest.objects.select_related("profile__user").get(pk=pk)


def withdraw_at_once(sam: User) -> list[tuple[str, bool]]:
    """The end of requests that are approved at the moment they are withdrawn: the state, and whether it was done."""
    people = [person("operator", f"olga-{number}") for number in range(3)]
    ends = []
    for profile in late(4):
        request = ask(sam, profile)
        decide_at_once(
            request, partial(approvals.withdraw, by=sam, reason="She has paid"),
            *(partial(approvals.approve, by=one, reason=AGREED) for one in people),
        )  # fmt: skip
        request.refresh_from_db()
        ends.append((request.state, bool(overrides_of(request))))
    return ends


def test_what_is_withdrawn_at_that_moment_is_either_done_or_not(sam: User) -> None:
    assert set(withdraw_at_once(sam)) <= {("approved", True), ("withdrawn", False)}
    lines = AuditEntry.objects.filter(action__in=["approval_given", "approval_withdrawn"])
    assert lines.count() == 4


@pytest.mark.mutant
def test_mutant_without_the_lock_it_is_withdrawn_and_done(sam: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approvals, "_read_locked", read_unlocked)
    withdraw_at_once(sam)
    assert AuditEntry.objects.filter(action__in=["approval_given", "approval_withdrawn"]).count() > 4


def test_the_same_asked_by_six_at_once_is_one_request() -> None:
    (dana,) = late(1)
    people = [person("support", f"sam-{number}") for number in range(6)]
    answers = house.at_once([partial(ask, one, dana) for one in people], clients=6)
    assert sorted(type(one).__name__ for one in answers) == ["ApprovalRequest"] + ["BadInput"] * 5
    assert all("asked for already by sam-" in str(one) for one in answers if isinstance(one, BadInput))
    assert ApprovalRequest.objects.count() == AuditEntry.objects.filter(action="approval_requested").count() == 1
