"""The one reconciler: facts -> decide -> diff -> apply -> read back -> record, for one person at a time.

Nothing else writes Keycloak access state or decides about seats. Whatever happened only says `enqueue`: look at this
person again. Runs as the job `reconcile`, one at a time per person, with no transaction open over a call.
"""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F

from apps.access import facts as known
from apps.access import outcome
from apps.access.apply import apply
from apps.access.observe import observe
from apps.access.plan import Step, diff
from apps.access.policy import Decision, decide
from apps.accounts.models import UserProfile
from apps.core import clock, jobs
from apps.core.errors import RetryLater
from apps.core.states import AccessState

KIND = "reconcile"
FIRST_KIND = "sync_user_post_checkout"  # the specification's name for the looks until the first one was made so
ROUNDS = 4  # seats first, then what follows from them, then the empty plan that proves it


@dataclass(frozen=True)
class Preview:
    """What `reconcile` would do now, for staff: nothing was changed."""

    state: AccessState
    sentence: str
    trace: tuple[str, ...]
    until: dt.datetime | None
    steps: tuple[Step, ...]


def register() -> None:
    """Make the job kinds known."""
    jobs.register(KIND, reconcile, needs=("keycloak",))
    jobs.register(FIRST_KIND, reconcile, needs=("keycloak",))


def lane(profile_id: int | str) -> str:
    """The lane all work on one person's access runs in."""
    return f"profile:{profile_id}"


@transaction.atomic
def enqueue(profile: UserProfile, *, reason: str) -> None:
    """Ask for a look at this person; joins a look that is already waiting. Part of the caller's transaction."""
    UserProfile.objects.filter(pk=profile.pk).update(
        desired_generation=F("desired_generation") + 1,
        pending_since=known.first_of(F("pending_since"), clock.now()),
    )
    # One kind at a time: a look that succeeds settles the blocked and dead ones of its own kind.
    kind = FIRST_KIND if profile.synced_at is None else KIND
    jobs.defer(kind, profile.pk, reason=reason, lane=lane(profile.pk))


@transaction.atomic
def enqueue_many(profile_ids: Collection[int], *, reason: str) -> None:
    """`enqueue` for many people: four statements at most, however many they are."""
    UserProfile.objects.filter(pk__in=profile_ids).update(
        desired_generation=F("desired_generation") + 1,
        pending_since=known.first_of(F("pending_since"), clock.now()),
    )
    never = set(UserProfile.objects.filter(pk__in=profile_ids, synced_at=None).values_list("pk", flat=True))
    for kind, people in ((FIRST_KIND, never), (KIND, set(profile_ids) - never)):
        if people:
            jobs.defer_many(kind, {str(pk): lane(pk) for pk in sorted(people)}, reason=reason)


def preview(profile: UserProfile) -> Preview:
    """The decision and the plan as of now. Reads Keycloak; raises the errors of identity when it is away."""
    decision = decide(known.facts_of(profile))
    steps = diff(decision, observe(profile))
    return Preview(decision.state, decision.sentence, decision.trace, decision.until, steps)


def reconcile(profile_id: str) -> None:
    """Make it so. Raises RetryLater when what was written does not read back, and the errors of its steps."""
    profile = UserProfile.objects.select_related("user").get(pk=profile_id)
    generation = profile.desired_generation
    decision = decide(known.facts_of(profile))
    outcome.record_decision(profile, decision)
    if decision.look_again_at:
        jobs.defer(
            KIND,
            profile.pk,
            reason="its time has come",
            not_before=decision.look_again_at,
            lane=lane(profile.pk),
        )
    make_so(profile, decision)
    outcome.record_done(profile, generation)


def make_so(profile: UserProfile, decision: Decision) -> None:
    """Apply plans until one is empty, which is the read-back."""
    for _ in range(ROUNDS):
        plan = diff(decision, observe(profile))
        if not plan:
            return
        apply(profile, plan)
    left = " ".join(step.sentence for step in diff(decision, observe(profile)))
    if left:
        raise RetryLater(f"Keycloak did not keep what was written. Still to do: {left}")
