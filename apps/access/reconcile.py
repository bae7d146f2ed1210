"""The one reconciler: facts -> decide -> diff -> apply -> read back -> record, for one subscriber at a time.

Nothing else writes Keycloak access state or decides about seats. Every change only calls `enqueue`: reconcile this
subscriber. Runs as the job `reconcile`, one at a time per subscriber, with no transaction open over a call.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial

from django.db import transaction
from django.db.models import CharField, Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Cast

from apps.access import facts, freezes, recording
from apps.access.apply import adopt_unrecorded, apply
from apps.access.freezes import FreezeBegan
from apps.access.observe import AccountGone, observe, owned_attributes
from apps.access.plan import Observed, Step, diff, is_loss
from apps.access.policy import Account, Decision, Facts, decide
from apps.accounts.models import UserProfile
from apps.catalog.product_entitlements import CatalogEntitlements, read_catalog
from apps.core import attention, clock, jobs
from apps.core.attention import Cause
from apps.core.dependencies import RESTORED
from apps.core.errors import NeedsOperator, RetryLater, WorkError
from apps.core.models import Job
from apps.core.reason_sentences import reason_sentence
from apps.core.states import AccessState, SubscriptionStatus

KIND = "reconcile"
FIRST_SYNC_KIND = "sync_user_post_checkout"  # the specification's name for a subscriber's first sync
KINDS = (KIND, FIRST_SYNC_KIND)
BULK = 20
# The job of account_link.py: nothing is written to an account that was there before it is linked.
LINK_KIND = "link_account"
ROUNDS = 4  # seats first, then what follows from them, then the empty plan that proves it


@dataclass(frozen=True)
class Preview:
    """What `reconcile` would do now, for staff. Nothing is changed."""

    state: AccessState
    sentence: str
    trace: tuple[str, ...]
    until: dt.datetime | None
    steps: tuple[Step, ...]


class AwaitsLink(Exception):
    """The account was there before its subscriber, and is not linked yet: its link asks for the reconcile."""


def register() -> None:
    """Make the job kinds known."""
    needs = ("keycloak", RESTORED)
    jobs.register(KIND, reconcile, label="Sync access", needs=needs)
    first = Job.Importance.PERSON_WAITS
    jobs.register(FIRST_SYNC_KIND, reconcile, label="First sync after checkout", needs=needs, importance=first)


def lane(profile_id: int | str) -> str:
    """The lane of all work on one subscriber's access."""
    return f"profile:{profile_id}"


@transaction.atomic
def enqueue(profile: UserProfile, *, reason: str) -> None:
    """Queue a reconcile of this subscriber; joins one that is already queued. Part of the caller's transaction."""
    UserProfile.objects.filter(pk=profile.pk).update(
        desired_generation=F("desired_generation") + 1,
        pending_since=facts.first_of(F("pending_since"), clock.now()),
    )
    # One kind at a time: a job that succeeds supersedes the blocked and dead ones of its own kind.
    kind = FIRST_SYNC_KIND if profile.synced_at is None else KIND
    importance = _importance(kind, profile.subscription_status, profile.access_state)
    jobs.defer(kind, profile.pk, reason=reason, lane=lane(profile.pk), importance=importance)


def _importance(kind: str, status: str, state: str) -> Job.Importance | None:
    """Who has paid and has no access waits for this; None: as usual for the kind."""
    paid = kind == KIND and SubscriptionStatus(status).gives_access
    return Job.Importance.PERSON_WAITS if paid and not AccessState(state).has_access else None


@transaction.atomic
def enqueue_many(profile_ids: Iterable[int], *, reason: str, importance: Job.Importance | None = None) -> None:
    """`enqueue` for many subscribers, in at most six statements.

    `importance`: of those who do not wait for access; by default more than `BULK` wait until nothing else is due.
    """
    ids = list(profile_ids)
    if importance is None and len(ids) > BULK:
        importance = Job.Importance.SWEEP
    # Always in the same order, so that two callers never deadlock.
    rows = UserProfile.objects.select_for_update().filter(pk__in=ids).order_by("pk")
    asked: dict[tuple[str, Job.Importance | None], dict[str, str]] = defaultdict(dict)
    for pk, synced_at, status, state in rows.values_list("pk", "synced_at", "subscription_status", "access_state"):
        kind = FIRST_SYNC_KIND if synced_at is None else KIND
        urgency = _importance(kind, status, state)
        if urgency is None and kind == KIND:
            urgency = importance
        asked[kind, urgency][str(pk)] = lane(pk)
    if not asked:
        return
    UserProfile.objects.filter(pk__in=[pk for lanes in asked.values() for pk in lanes]).update(
        desired_generation=F("desired_generation") + 1,
        pending_since=facts.first_of(F("pending_since"), clock.now()),
    )
    for (kind, urgency), lanes in asked.items():
        jobs.defer_many(kind, lanes, reason=reason, importance=urgency)


def without_job(people: QuerySet[UserProfile], states: Collection[Job.State]) -> QuerySet[UserProfile]:
    """Those of `people` who have no reconcile job in one of these states."""
    theirs = Job.objects.filter(kind__in=KINDS, state__in=states, key=Cast(OuterRef("pk"), CharField()))
    return people.filter(~Exists(theirs))


def in_progress() -> QuerySet[Job]:
    """Reconcile jobs that run, are due or will be retried; not those that only wait for a date."""
    soon = Q(not_before__lte=clock.now()) | Q(attempts__gt=0) | ~Q(parked_on="")
    return Job.objects.filter(Q(state=Job.State.RUNNING) | Q(state=Job.State.QUEUED) & soon, kind__in=KINDS)


def failed_or_blocked() -> QuerySet[Job]:
    """Reconcile jobs that failed or need staff."""
    return Job.objects.filter(kind__in=KINDS, state__in=Job.GIVEN_UP)


def preview(profile: UserProfile, known: Facts | None = None) -> Preview:
    """The decision and the plan as of now, or by facts that somebody imagines. Reads Keycloak; raises identity's errors."""
    decision = decide(facts.read_facts(profile) if known is None else known)
    steps = diff(decision, observe(profile, decision))
    return Preview(decision.state, reason_sentence(decision.reason), decision.trace, decision.until, steps)


def reconcile(profile_id: str) -> None:
    """Apply the decision. Raises RetryLater when what was written does not read back, and the errors of its steps.

    When incident mode begins meanwhile, it stops before the next loss and begins again, which gives back what was taken.
    Who waits for the link of an imported account waits for it here, too; if that needs staff, so does this.
    """
    try:
        _reconcile_once(profile_id)
    except FreezeBegan:
        _reconcile_once(profile_id)


def _reconcile_once(profile_id: str) -> None:
    try:
        profile, present, decision, catalog = _decide(profile_id)
    except AwaitsLink:
        _bring_link_forward(profile_id)
        return
    generation = profile.desired_generation
    done: list[Step] = []
    guard = partial(freezes.refuse_if_begun, profile, present.freeze)
    before_loss = _nothing if decision.state == AccessState.ON_HOLD else guard  # a hold is a person's decision
    try:
        observed = apply_until_synced(profile, decision, done, owned_attributes(catalog), before_loss)
        with transaction.atomic():
            if any(map(is_loss, done)):
                before_loss()
            if present.freeze:
                held = diff(decision.demanded, observed) if decision.demanded else ()
                freezes.record_held_back(profile, decision, held)
            recording.record_done(profile, generation, done)
    except WorkError as problem:
        recording.record_steps(profile, generation, done)
        if isinstance(problem, AccountGone):
            for listener in recording.on_account_gone:
                listener(profile)
        raise
    if profile.keycloak_id is None:
        attention.resolve(Cause.ACCOUNT_REFUSED, str(profile.pk), why="No account is due any more.")


def _nothing() -> None:
    """Nothing stops what staff decided."""


@transaction.atomic
def _decide(profile_id: str) -> tuple[UserProfile, Facts, Decision, CatalogEntitlements]:
    """Decide by the present facts, record it, and queue the reconcile of the date at which it changes by itself."""
    # First what was asked for: whatever changes after this asks again.
    profile = UserProfile.objects.select_related("user").get(pk=profile_id)
    if profile.imported_at and profile.keycloak_id and _is_to_be_linked(profile):
        raise AwaitsLink
    catalog = read_catalog()
    present = facts.read_facts(profile, catalog.by_product)
    decision = decide(present)
    recording.record_decision(profile, present, decision)
    if decision.reconcile_at:
        jobs.defer(
            KIND,
            profile.pk,
            reason="its date has come",
            not_before=decision.reconcile_at,
            lane=lane(profile.pk),
        )
    return profile, present, decision, catalog


def _is_to_be_linked(profile: UserProfile) -> bool:
    """Whether its link waits, runs, or needs staff."""
    links = Job.objects.filter(kind=LINK_KIND, key=str(profile.pk))
    return links.exclude(state__in=Job.FINISHED).exists()


def _bring_link_forward(profile_id: str) -> None:
    """Somebody has asked for this subscriber: a link that waits comes before the sweeps. NeedsOperator: it waits for staff."""
    links = Job.objects.filter(kind=LINK_KIND, key=profile_id)
    if links.filter(state=Job.State.QUEUED).exists():
        why = "a sync waits for it"
        jobs.defer(LINK_KIND, profile_id, reason=why, lane=lane(profile_id), importance=Job.Importance.CHANGE)
    elif links.filter(state__in=Job.GIVEN_UP).exists():
        raise NeedsOperator(
            "The imported account is not linked yet. Retry the job that links it; this sync then follows."
        )


def apply_until_synced(
    profile: UserProfile,
    decision: Decision,
    done: list[Step],
    owned: frozenset[str],
    before_loss: Callable[[], None],
) -> Observed:
    """Apply plans until one is empty, which is the read-back and is returned; what was done is added to `done`.

    `owned`: the names of our attributes. `before_loss`: see `apply`.
    """
    if profile.keycloak_id is None and decision.account in (Account.DISABLED, Account.UNTOUCHED):
        adopt_unrecorded(profile)  # else nobody would close it; where it is to be open, its making adopts it
    for _ in range(ROUNDS):
        seen = observe(profile, decision, owned)
        plan = diff(decision, seen)
        if not plan:
            return seen
        apply(profile, plan, done=done, before_loss=before_loss)
    seen = observe(profile, decision, owned)
    left = " ".join(step.sentence for step in diff(decision, seen))
    if left:
        raise RetryLater(f"Keycloak did not keep what was written. Still to do: {left}")
    return seen
