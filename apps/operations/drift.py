"""Drift: differences between Keycloak and what it should say. Found here, listed in the console, fixed on request.

Every quarter of an hour everyone with an account is compared, in slices, each a job that names the next, so the cost of a
job stays the same. Keycloak is read in bulk: accounts by their ids, then the members of each group; only who seems to differ
is read alone. A comparison changes nothing but the list. RULES has the rule of each kind; attributes and groups that
are not ours are ignored. The nightly sweep also fixes differences of access, unless staff ignore them until a date; the
other kinds wait for staff.
"""

import datetime as dt
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import Group, User
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from apps.access import facts, reconcile, recording
from apps.access.observe import account_of, assume_groups, observed
from apps.access.plan import Observed, diff
from apps.access.policy import Account, Decision, decide
from apps.accounts.models import UserProfile
from apps.billing import customers
from apps.core import audit, clock, comparison_runs, jobs
from apps.core.addresses import ascii_email, shown_email
from apps.core.audit_actions import AuditAction
from apps.core.comparison_runs import Tally
from apps.core.errors import BadInput
from apps.core.models import Job
from apps.identity.account_lists import MARK
from apps.identity.keycloak import client
from apps.identity.protocol import KeycloakUser
from apps.instances.models import Instance
from apps.login import sessions
from apps.notifications.address_change import address_changed
from apps.operations import bulk_facts, keycloak_write_back
from apps.operations.keycloak_write_back import resolve
from apps.operations.models import Drift

KIND = "compare_keycloak"
QUARTER_HOUR = 15 * 60
PEOPLE, SECONDS = 450, 25.0  # of one slice, whichever ends it first; a job has a minute
GROUPS = "group:"  # how the keys of slices of groups begin
USERNAME_STEP = "Use the username {} here too."
RULES: dict[str, str] = {
    Drift.Kind.ACCESS: "Attributes, groups or seats are not what the subscriber is entitled to. The next sync fixes it, at night at the latest.",
    Drift.Kind.DISABLED: "Somebody disabled the account in Keycloak. The next sync enables it, at night at the latest. To keep"
    " someone out, use a hold.",
    Drift.Kind.DELETED: "Somebody deleted the account in Keycloak. It is never created again silently. The fix creates a new account"
    " with the same username, apps and seats, and emails a link to set a password.",
    Drift.Kind.USERNAME: "Keycloak has a different username. Subscribers log in with that one, so the fix uses it here too.",
    Drift.Kind.EMAIL: "Keycloak has a different email. The fix uses Keycloak's, if it is verified there, or restores ours."
    " Until then our emails go to ours, and Keycloak's emails to Keycloak's.",
    Drift.Kind.MARK: "The account does not carry the mark of this subscriber (onboarding_id). Somebody removed or changed it, or the"
    " account is somebody else's: check in Keycloak whose it is first. The fix writes this subscriber's mark to it.",
}


@dataclass(frozen=True)
class Difference:
    """One difference of one subscriber, and the steps that would fix it."""

    kind: Drift.Kind
    steps: tuple[str, ...]
    keycloak_value: str = ""
    is_excess: bool = False


DELETED = Difference(Drift.Kind.DELETED, ("Create a new account.",))
UNMARKED = Difference(Drift.Kind.MARK, ("Write the mark of this subscriber.",))


def register() -> None:
    """Make the job kinds known."""
    jobs.register(
        KIND,
        compare_slice,
        label="Compare with Keycloak",
        needs=("keycloak",),
        every=QUARTER_HOUR,
        importance=Job.Importance.SWEEP,
    )
    recording.on_synced.append(close_repaired)
    recording.on_account_gone.append(keep_deleted)


@transaction.atomic
def keep_deleted(profile: UserProfile) -> None:
    """A reconcile found no account where one is due: it waits for staff, who need the row to fix it."""
    _keep(profile, [DELETED])


def close_repaired(profile: UserProfile, _generation: int, _steps: list[str]) -> None:
    """A reconcile ended with an empty plan, so nothing that a plan would repair is different any more."""
    repaired = Drift.objects.filter(profile=profile, resolved_at__isnull=True)
    repaired.filter(kind__in=[Drift.Kind.ACCESS, Drift.Kind.DISABLED, Drift.Kind.DELETED]).update(
        resolved_at=clock.now()
    )


# --- finding ---------------------------------------------------------------------------------------------------------


def compare_slice(key: str) -> None:
    """Compare one slice, from the profile id in `key` on, or one of groups; any other key starts a walk unless one is in progress."""
    if key.startswith(GROUPS):
        _compare_groups(key)
        return
    if not key.isdecimal() and _in_progress():
        return
    run = comparison_runs.resume(KIND) if key.isdecimal() else comparison_runs.begin(KIND)
    people = _up_to_date(UserProfile.objects.filter(pk__gt=int(key) if key.isdecimal() else 0))
    slice_ = list(people.select_related("user").order_by("pk")[:PEOPLE])
    late, differing = _compare_each(find_suspects(slice_), time.monotonic() + SECONDS)
    following = late or (slice_[-1].pk if len(slice_) == PEOPLE else None)
    looked_at = sum(one.pk <= late for one in slice_) if late else len(slice_)
    jobs.defer(KIND, following or f"{GROUPS}:", reason="the next slice")
    _count(run, looked_at, differing)


def _compare_groups(key: str) -> None:
    """Compare who is in each group after the one in `key`; with a profile id, from there on in the one itself."""
    run = comparison_runs.resume(KIND)
    _, after, start = key.split(":", 2)
    until, differing = time.monotonic() + SECONDS, list[int]()
    there = client().list_groups()
    here = set(Instance.objects.values_list("group__name", flat=True))
    for path in sorted(one for one in {*there, *here} if one > start or (after and one == start)):
        members = client().list_members(there[path]) if path in there else frozenset()
        suspects = find_misplaced(path, members).filter(pk__gt=int(after) if path == start else 0)
        late, found = _compare_each(suspects.select_related("user").order_by("pk"), until)
        differing += found
        if late or time.monotonic() > until:
            jobs.defer(KIND, f"{GROUPS}{late or ''}:{path}", reason="the next groups")
            _count(run, 0, differing)
            return
    _count(run, 0, differing, ended=True)


def _count(run: int, looked_at: int, differing: list[int], *, ended: bool = False) -> None:
    """Nothing is fixed by the comparison: the next sync, or staff, do that."""
    items = tuple(("profile", pk, "keycloak") for pk in differing)
    tally = Tally(looked_at=looked_at, found=len(differing), items=items)
    comparison_runs.add(run, tally, ended=ended)


def _compare_each(suspects: Iterable[UserProfile], until: float) -> tuple[int | None, list[int]]:
    """Compare each; when the time is up, the id of the last one compared; and the ids of those that differ."""
    differing = []
    for profile in suspects:
        if compare_subscriber(profile):
            differing.append(profile.pk)
        if time.monotonic() > until:
            return profile.pk, differing
    return None, differing


def find_suspects(people: Collection[UserProfile]) -> list[UserProfile]:
    """Who of these may differ, or differed: each is compared alone then. One call for 90, and the same queries for any number."""
    accounts = client().get_users([one.keycloak_id or "" for one in people])
    decided = bulk_facts.decide_many(UserProfile.objects.filter(pk__in=[one.pk for one in people]))
    seen = assume_groups(people, accounts)
    open_ = set(Drift.objects.filter(profile__in=people, resolved_at=None).values_list("profile", flat=True))
    return [
        one
        for one in people
        if one.pk in open_ or _judge(one, accounts.get(one.keycloak_id or ""), decided[one.pk], seen.get(one.pk))
    ]


def find_misplaced(path: str, members: frozenset[str]) -> QuerySet[UserProfile]:
    """Who is in the group in Keycloak and not here, or here and not there."""
    groups = Group.objects.filter(name=path, instance__isnull=False)
    here = set(_up_to_date(UserProfile.objects.filter(user__groups__in=groups)).values_list("keycloak_id", flat=True))
    return _up_to_date(UserProfile.objects.filter(keycloak_id__in=here ^ members))


def _in_progress() -> bool:
    slices = Job.objects.filter(kind=KIND, state__in=Job.UNFINISHED, key__regex=rf"^([0-9]+$|{GROUPS})")
    return slices.exists()


def _up_to_date(people: QuerySet[UserProfile]) -> QuerySet[UserProfile]:
    """Subscribers with an account and no pending reconcile: the others are handled anyway."""
    return people.filter(keycloak_id__isnull=False, synced_at__isnull=False, pending_since__isnull=True)


def compare_subscriber(profile: UserProfile) -> list[Difference]:
    """Compare one subscriber now and store the open drift; nothing is stored if a reconcile was requested meanwhile."""
    found = find_differences(profile, account_of(profile))
    with transaction.atomic():
        fresh = _up_to_date(UserProfile.objects.filter(pk=profile.pk, desired_generation=profile.desired_generation))
        if fresh.select_for_update().exists():
            _keep(profile, found)
    return found


def find_differences(profile: UserProfile, account: KeycloakUser | None) -> list[Difference]:
    """The differences, by the rules; empty when in sync."""
    decision = decide(facts.read_facts(profile))
    return _judge(profile, account, decision, observed(profile, account) if account else None)


def _judge(
    profile: UserProfile, account: KeycloakUser | None, decision: Decision, seen: Observed | None
) -> list[Difference]:
    if account is None or seen is None:  # nobody misses the account of somebody who has left
        return [DELETED] if decision.account == Account.ENABLED else []
    found: list[Difference] = []
    if plan := diff(decision, seen):
        by_hand = decision.account == Account.ENABLED and not account.enabled
        kind, excess = Drift.Kind.DISABLED if by_hand else Drift.Kind.ACCESS, any(step.takes_access for step in plan)
        found.append(Difference(kind, tuple(step.sentence for step in plan), is_excess=excess))
    if account.username.lower() != profile.user.username.lower():
        step = USERNAME_STEP.format(account.username)
        found.append(Difference(Drift.Kind.USERNAME, (step,), account.username[:255]))
    if ascii_email(account.email).lower() != ascii_email(profile.email).lower():
        found.append(_email_difference(account))
    if account.attributes.get(MARK) != (str(profile.onboarding_id),):
        found.append(UNMARKED)
    return found


def _email_difference(account: KeycloakUser) -> Difference:
    """`value` is an email that may be taken over, so only a verified one: who reads our emails can get into the account."""
    if account.email and account.email_verified:
        step = f"Use {shown_email(account.email)} here too, or restore our email."
        value = ascii_email(account.email)[:255]
    else:
        step, value = f"Restore our email: {shown_email(account.email) or 'none'} is not verified.", ""
    return Difference(Drift.Kind.EMAIL, (step,), value)


def _keep(profile: UserProfile, found: list[Difference]) -> None:
    """Make the open rows of this subscriber match what was found; `first_seen_at` is kept."""
    now = clock.now()
    current = {row.kind: row for row in Drift.objects.filter(profile=profile, resolved_at__isnull=True)}
    for one in found:
        row = current.pop(one.kind, None)
        if row is None:
            row = Drift(profile=profile, kind=one.kind, first_seen_at=now)
            steps = {} if one.kind.is_personal else {"steps": list(one.steps)}
            audit.record(
                subject=profile.subject, action=AuditAction.DRIFT_FOUND, after={"kind": one.kind.value} | steps
            )
        row.steps, row.keycloak_value, row.last_seen_at = list(one.steps), one.keycloak_value, now
        row.is_excess = one.is_excess
        row.save()
    for row in current.values():
        resolve(row.profile_id, row.kind)


# --- what staff do about it --------------------------------------------------------------------------------------------


@transaction.atomic
def fix_drift(drift: Drift, *, actor: str, reason: str, write_back: bool = False) -> str:
    """Do what the rule of its kind says; returns a sentence. `write_back`: of an email, ours is the right one.

    BadInput when it is already resolved, or when the username or email belongs to somebody else here.
    """
    row = Drift.objects.select_for_update(of=("self",)).select_related("profile__user").get(pk=drift.pk)
    if row.resolved_at is not None:
        raise BadInput("This difference is already resolved.")
    profile = row.profile
    had = customers.fingerprints(profile) if row.kind == Drift.Kind.EMAIL else {}
    sentence = _carry_out(row, profile, actor, write_back=write_back)
    audit.record(
        subject=profile.subject, action=AuditAction.DRIFT_FIXED, actor=actor, reason=reason,
        before={"kind": row.kind} | had, after={"write_back": write_back},
    )  # fmt: skip
    return sentence


def _carry_out(row: Drift, profile: UserProfile, actor: str, *, write_back: bool) -> str:
    if row.kind == Drift.Kind.USERNAME:
        return _take_username(profile, row)
    if row.kind == Drift.Kind.EMAIL:
        return keycloak_write_back.queue(row.kind, profile, actor) if write_back else _take_email(profile, row)
    if row.kind == Drift.Kind.MARK:
        return keycloak_write_back.queue(row.kind, profile, actor)
    if row.kind == Drift.Kind.DELETED:
        _unlink(profile)
        resolve(profile.pk, Drift.Kind.DELETED)
    reconcile.enqueue(profile, reason=f"drift fixed by {actor}")
    return f"{profile} will be synced now."


def _unlink(profile: UserProfile) -> None:
    """Forget the account that is gone; the reconcile that follows creates a new one."""
    SocialAccount.objects.filter(user=profile.user_id, uid=profile.keycloak_id or "").delete()
    sessions.end_sessions(profile.user)
    profile.keycloak_id = None
    profile.save(update_fields=["keycloak_id"])


def _take_username(profile: UserProfile, row: Drift) -> str:
    if User.objects.filter(username__iexact=row.keycloak_value).exclude(pk=profile.user_id).exists():
        raise BadInput(
            f"Somebody else has the username {row.keycloak_value} here. Rename one of them in Keycloak first."
        )
    try:
        with transaction.atomic():
            User.objects.filter(pk=profile.user_id).update(username=row.keycloak_value)
    except IntegrityError as error:
        raise BadInput(
            f"Somebody else has the username {row.keycloak_value} here. Rename one of them in Keycloak first."
        ) from error
    resolve(profile.pk, row.kind)
    return f"The subscriber's username is now {row.keycloak_value} here too."


def _take_email(profile: UserProfile, row: Drift) -> str:
    if not row.keycloak_value:
        raise BadInput("Keycloak has no verified email. Restore ours.", field="write_back")
    try:
        with transaction.atomic():
            UserProfile.objects.filter(pk=profile.pk).update(email=row.keycloak_value)
            User.objects.filter(pk=profile.user_id).update(email=row.keycloak_value)
            address_changed(profile, former=profile.email)
    except IntegrityError as error:
        raise BadInput("Somebody else here has this email. Restore ours, or fix theirs first.") from error
    resolve(profile.pk, row.kind)
    customers.update_customer_later(profile, reason="email taken over from Keycloak")
    return f"Emails to {profile} now go to {shown_email(row.keycloak_value)}. Stripe gets it too, unless it has a different address."


@transaction.atomic
def ignore_drift(drift: Drift, *, until: dt.datetime, actor: str, reason: str) -> None:
    """Ignore it until then: not counted, and not fixed at night."""
    Drift.objects.filter(pk=drift.pk).update(ignored_until=until)
    audit.record(
        subject=drift.profile.subject, action=AuditAction.DRIFT_IGNORED, actor=actor, reason=reason,
        after={"kind": drift.kind, "until": until.isoformat()},
    )  # fmt: skip
