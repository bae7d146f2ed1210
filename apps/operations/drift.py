"""Drift: what Keycloak says about a person against what it should say. Found here, listed in the console, mended on request.

Every quarter of an hour everybody with an account is compared, in slices, each a job that names the next, so the cost of a
job stays the same however many there are. A comparison changes nothing but the list. The rule of each kind is in RULES;
attributes and groups that are not ours are never looked at. Differences of access are also mended by the nightly look,
unless staff said to ignore them until a date; the others wait for a person.
"""

import datetime as dt
import time
from dataclasses import dataclass

from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from apps.access import facts, reconcile, recording
from apps.access.observe import account_of, observed
from apps.access.plan import diff
from apps.access.policy import Account, decide
from apps.accounts.models import UserProfile
from apps.core import audit, clock, jobs
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.core.models import Job
from apps.identity.keycloak import client
from apps.identity.protocol import KeycloakUser
from apps.login import sessions
from apps.operations.models import Drift

KIND, WRITE_EMAIL = "compare_keycloak", "write_email_to_keycloak"
QUARTER_HOUR = 15 * 60
PEOPLE, SECONDS = 200, 25.0  # of one slice, whichever ends it first; a job has a minute
RULES: dict[str, str] = {
    Drift.Kind.ACCESS: "Attributes, groups or seats are not what is due. The next look makes them so, at night at the latest.",
    Drift.Kind.DISABLED: "Somebody disabled the account in Keycloak. The next look enables it, at night at the latest: to keep"
    " a person out, use a hold.",
    Drift.Kind.DELETED: "Somebody deleted the account in Keycloak. It is never made anew in silence. Mending makes a new account"
    " with the same name, apps and seats, and mails a link to set a password.",
    Drift.Kind.USERNAME: "Keycloak has another username. People log in with Keycloak's, so mending takes it over here.",
    Drift.Kind.EMAIL: "Keycloak has another mail address. Mending takes it over here, if Keycloak has verified it, or writes"
    " ours back. Until then our mails go to ours, and Keycloak's to Keycloak's.",
}


@dataclass(frozen=True)
class Difference:
    """What is different of one person, and the steps that would mend it."""

    kind: Drift.Kind
    steps: tuple[str, ...]
    keycloak_value: str = ""


def register() -> None:
    """Make the job kinds known."""
    jobs.register(KIND, compare_slice, label="Compare with Keycloak", needs=("keycloak",), every=QUARTER_HOUR)
    jobs.register(WRITE_EMAIL, write_email, label="Write email to Keycloak", needs=("keycloak",))
    recording.on_synced.append(close_repaired)


def close_repaired(profile: UserProfile, _generation: int, _steps: list[str]) -> None:
    """A reconcile ended with an empty plan, so nothing that a plan would repair is different any more."""
    repaired = Drift.objects.filter(profile=profile, resolved_at__isnull=True)
    repaired.filter(kind__in=[Drift.Kind.ACCESS, Drift.Kind.DISABLED, Drift.Kind.DELETED]).update(
        resolved_at=clock.now()
    )


# --- finding ---------------------------------------------------------------------------------------------------------


def compare_slice(key: str) -> None:
    """Compare one slice of people, the ones after the profile id in `key`; any other key begins a walk, unless one is on."""
    if not key.isdecimal() and _in_progress():
        return
    started = time.monotonic()
    people = _up_to_date(UserProfile.objects.filter(pk__gt=int(key) if key.isdecimal() else 0))
    slice_ = list(people.select_related("user").order_by("pk")[:PEOPLE])
    for number, profile in enumerate(slice_, 1):
        compare_subscriber(profile)
        late = time.monotonic() - started > SECONDS
        if (late or number == PEOPLE) and people.filter(pk__gt=profile.pk).exists():
            jobs.defer(KIND, profile.pk, reason="the next slice")
            return


def _in_progress() -> bool:
    slices = Job.objects.filter(kind=KIND, state__in=[Job.State.QUEUED, Job.State.RUNNING], key__regex=r"^[0-9]+$")
    return slices.exists()


def _up_to_date(people: QuerySet[UserProfile]) -> QuerySet[UserProfile]:
    """Who has an account and waits for nothing: the others are being seen to anyhow."""
    return people.filter(keycloak_id__isnull=False, synced_at__isnull=False, pending_since__isnull=True)


def compare_subscriber(profile: UserProfile) -> list[Difference]:
    """Compare one person now and keep the list of what stands; nothing is kept when a look was asked for meanwhile."""
    found = find_differences(profile, account_of(profile))
    with transaction.atomic():
        fresh = _up_to_date(UserProfile.objects.filter(pk=profile.pk, desired_generation=profile.desired_generation))
        if fresh.select_for_update().exists():
            _keep(profile, found)
    return found


def find_differences(profile: UserProfile, account: KeycloakUser | None) -> list[Difference]:
    """What is different, by the rules; empty when all is well."""
    if account is None:
        return [Difference(Drift.Kind.DELETED, ("Make a new account.",))]
    found: list[Difference] = []
    decision = decide(facts.read_facts(profile))
    steps = tuple(step.sentence for step in diff(decision, observed(profile, account)))
    if steps:
        by_hand = decision.account == Account.ENABLED and not account.enabled
        found.append(Difference(Drift.Kind.DISABLED if by_hand else Drift.Kind.ACCESS, steps))
    if account.username.lower() != profile.user.username.lower():
        step = f"Call the subscriber {account.username} here too."
        found.append(Difference(Drift.Kind.USERNAME, (step,), account.username[:255]))
    if account.email.lower() != profile.email.lower():
        found.append(_email_difference(account))
    return found


def _email_difference(account: KeycloakUser) -> Difference:
    """`value` is an address to be taken over, so only a verified one: whoever reads our mails can get into the account."""
    if account.email and account.email_verified:
        step, value = f"Take {account.email} over here, or write our address back.", account.email[:255]
    else:
        step, value = f"Write our address back: {account.email or 'none'} is not verified.", ""
    return Difference(Drift.Kind.EMAIL, (step,), value)


def _keep(profile: UserProfile, found: list[Difference]) -> None:
    """Make the standing rows of this person those that were found now; first seen stays first seen."""
    now = clock.now()
    standing = {row.kind: row for row in Drift.objects.filter(profile=profile, resolved_at__isnull=True)}
    for one in found:
        row = standing.pop(one.kind, None)
        if row is None:
            row = Drift(profile=profile, kind=one.kind, first_seen_at=now)
            audit.record(
                subject=profile.subject,
                action=AuditAction.DRIFT_FOUND,
                after={"kind": one.kind.value, "steps": list(one.steps)},
            )
        row.steps, row.keycloak_value, row.last_seen_at = list(one.steps), one.keycloak_value, now
        row.save()
    for row in standing.values():
        resolve(row.profile_id, row.kind)


def resolve(profile_id: int, *kinds: str) -> None:
    """These kinds of difference are gone."""
    Drift.objects.filter(profile_id=profile_id, kind__in=kinds, resolved_at__isnull=True).update(
        resolved_at=clock.now()
    )


# --- what staff do about it --------------------------------------------------------------------------------------------


@transaction.atomic
def fix_drift(drift: Drift, *, actor: str, reason: str, write_back: bool = False) -> str:
    """Do what the rule of its kind says; returns a sentence. `write_back`: of an address, ours is the right one.

    BadInput when it is gone already, or when the name or address belongs to somebody else here.
    """
    row = Drift.objects.select_for_update(of=("self",)).select_related("profile__user").get(pk=drift.pk)
    if row.resolved_at is not None:
        raise BadInput("This difference is gone already.")
    profile = row.profile
    audit.record(
        subject=profile.subject, action=AuditAction.DRIFT_FIXED, actor=actor, reason=reason,
        before={"kind": row.kind}, after={"write_back": write_back},
    )  # fmt: skip
    if row.kind == Drift.Kind.USERNAME:
        return _take_username(profile, row)
    if row.kind == Drift.Kind.EMAIL:
        return _queue_write_back(profile, actor) if write_back else _take_email(profile, row)
    if row.kind == Drift.Kind.DELETED:
        _unlink(profile)
        resolve(profile.pk, Drift.Kind.DELETED)
    reconcile.enqueue(profile, reason=f"drift mended by {actor}")
    return f"{profile} will be looked at now."


def _unlink(profile: UserProfile) -> None:
    """Forget the account that is gone; the look that follows makes a new one."""
    SocialAccount.objects.filter(user=profile.user_id, uid=profile.keycloak_id or "").delete()
    sessions.end_sessions(profile.user)
    profile.keycloak_id = None
    profile.save(update_fields=["keycloak_id"])


def _take_username(profile: UserProfile, row: Drift) -> str:
    if User.objects.filter(username__iexact=row.keycloak_value).exclude(pk=profile.user_id).exists():
        raise BadInput(f"Somebody else is called {row.keycloak_value} here. Rename one of them in Keycloak first.")
    try:
        with transaction.atomic():
            User.objects.filter(pk=profile.user_id).update(username=row.keycloak_value)
    except IntegrityError as error:
        raise BadInput(
            f"Somebody else is called {row.keycloak_value} here. Rename one of them in Keycloak first."
        ) from error
    resolve(profile.pk, row.kind)
    return f"The subscriber is called {row.keycloak_value} here too now."


def _take_email(profile: UserProfile, row: Drift) -> str:
    if not row.keycloak_value:
        raise BadInput("Keycloak has no verified address. Write ours back.", field="write_back")
    try:
        with transaction.atomic():
            UserProfile.objects.filter(pk=profile.pk).update(email=row.keycloak_value)
            User.objects.filter(pk=profile.user_id).update(email=row.keycloak_value)
    except IntegrityError as error:
        raise BadInput("Somebody else here has this address. Write ours back, or mend value first.") from error
    resolve(profile.pk, row.kind)
    return f"Mails to {profile} go to {row.keycloak_value} now. Stripe keeps its own address: change it there too."


def _queue_write_back(profile: UserProfile, actor: str) -> str:
    jobs.defer(WRITE_EMAIL, profile.pk, reason=f"drift mended by {actor}", lane=reconcile.lane(profile.pk))
    return f"Our address of {profile} will be written to Keycloak now."


def write_email(key: str) -> None:
    """The job: write our address of the profile `key` to Keycloak, as verified, because its code proved it to us."""
    profile = UserProfile.objects.filter(pk=key, keycloak_id__isnull=False).first()
    if profile is None:
        return
    client().update_user(profile.keycloak_id or "", email=profile.email)
    resolve(profile.pk, Drift.Kind.EMAIL)


@transaction.atomic
def ignore_drift(drift: Drift, *, until: dt.datetime, actor: str, reason: str) -> None:
    """Leave it as it is until then: not counted, and not mended at night."""
    Drift.objects.filter(pk=drift.pk).update(ignored_until=until)
    audit.record(
        subject=drift.profile.subject, action=AuditAction.DRIFT_IGNORED, actor=actor, reason=reason,
        after={"kind": drift.kind, "until": until.isoformat()},
    )  # fmt: skip
