"""What a reconcile records: the profile's columns, the timeline, its steps, and the emails that a change calls for."""

from collections.abc import Callable, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Case, F, Value, When

from apps.access import announcements, unwarned
from apps.access.forecast import forecast
from apps.access.models import LastSync
from apps.access.plan import Step
from apps.access.policy import Decision, Facts
from apps.access.upcoming import Upcoming
from apps.accounts.models import UserProfile
from apps.core import attention, audit, clock
from apps.core.audit_actions import AuditAction
from apps.core.reasons import Reason
from apps.core.states import AccessState

# Called in the transaction that records a finished reconcile: profile, its generation, what was changed as sentences.
on_synced: list[Callable[[UserProfile, int, list[str]], None]] = []
# Called when the account that should be open is gone: staff must have something to fix it with.
on_account_gone: list[Callable[[UserProfile], None]] = []


def as_columns(decision: Decision, ahead: Sequence[Upcoming]) -> dict[str, Any]:
    """What the profile's columns say of a decision and of its forecast."""
    return {
        "access_state": decision.state.value,
        "access_reason": decision.reason.as_json(),
        "access_until": decision.until,
        "final_expiry_at": decision.final_expiry_at,
        "forecast": [one.as_json() for one in ahead],
        "next_change_at": ahead[0].at if ahead else None,
    }


@transaction.atomic
def record_decision(profile: UserProfile, facts: Facts, decision: Decision) -> None:
    """Write the decision, and what happens next, to the profile before it is applied.

    A change of state goes to the timeline and may send an email.
    """
    before, why_before = AccessState(profile.access_state), profile.access_reason
    ahead = forecast(facts)
    columns = as_columns(decision, ahead)
    for name, value in columns.items():
        setattr(profile, name, value)
    profile.save(update_fields=list(columns))
    if before != decision.state:
        _report_if_impossible(profile, before, decision.state)
        audit.record(
            subject=profile.subject,
            action=AuditAction.ACCESS_CHANGED,
            reason="; ".join(decision.trace),
            before={"state": before.value, "why": why_before},
            after={"state": decision.state.value, "why": profile.access_reason},
        )
        if not decision.is_held_back:
            announcements.announce_change(profile, decision, before, Reason.from_json(why_before))
    announcements.announce_coming(profile, decision.state, ahead)
    if profile.email_problem:
        unwarned.report(profile)
    if any(one.status.is_late for one in facts.subscriptions) and not decision.is_held_back:
        announcements.tell_of_failed_payments(profile)


@transaction.atomic
def record_applied_before(profile: UserProfile, decision: Decision) -> None:
    """A state that Keycloak has already, since a time that our restored rows do not know: its email was sent then."""
    if profile.synced_at is None:  # the account is ready and was welcomed
        profile.synced_at = clock.now()
        profile.save(update_fields=["synced_at"])
    before = profile.access_state
    if before == decision.state.value:
        return
    profile.access_state = decision.state.value
    profile.save(update_fields=["access_state"])
    audit.record(
        subject=profile.subject,
        action=AuditAction.ACCESS_CHANGED,
        reason="Keycloak had it so before the restore.",
        before={"state": before},
        after={"state": decision.state.value},
    )


def _report_if_impossible(profile: UserProfile, before: AccessState, after: AccessState) -> None:
    """Tell staff of a change that no facts explain. The change is made: what is true now decides about access."""
    if not before.may_become(after):
        told = (
            f"Access changed from “{before.label}” to “{after.label}”, which the policy never does. Something it reads was removed or"
            " written by hand: compare the subscriber's timeline with Stripe."
        )
        attention.report(attention.Cause.ODD_CHANGE, f"profile:{profile.pk}", told, profiles=[profile.pk])


def record_steps(profile: UserProfile, generation: int, done: Sequence[Step], *, ended: bool = False) -> list[str]:
    """Add the steps of an attempt to those of earlier attempts; returns the sentences of all.

    The steps of a finished reconcile are dropped with the first step of the next.
    """
    last = LastSync.objects.filter(profile=profile).first()
    before = last.steps if last and last.ended_at is None else []
    steps = [*before, *(step.sentence for step in done)]
    if steps or ended:
        sync = LastSync(profile=profile, generation=generation, steps=steps, ended_at=clock.now() if ended else None)
        LastSync.objects.bulk_create(
            [sync],
            update_conflicts=True,
            unique_fields=["profile"],
            update_fields=["generation", "steps", "ended_at"],
        )
    return steps


@transaction.atomic
def record_done(profile: UserProfile, generation: int, done: Sequence[Step]) -> None:
    """Note that the request `generation` is done, and by which steps; newer requests stay pending."""
    now = clock.now()
    if profile.synced_at is None and AccessState(profile.access_state).has_access:
        announcements.welcome(profile)
    UserProfile.objects.filter(pk=profile.pk).update(
        observed_generation=generation,
        synced_at=now,
        pending_since=Case(When(desired_generation=generation, then=Value(None)), default=F("pending_since")),
    )
    steps = record_steps(profile, generation, done, ended=True)
    for listener in on_synced:
        listener(profile, generation, steps)
