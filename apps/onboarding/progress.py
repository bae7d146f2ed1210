"""How far a paid signup has come, read from our own rows: payment, account, apps, password email. No outside call.

The success page shows it. It says what is true: a step that waits for staff says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from apps.access import reconcile
from apps.accounts.models import Signup, UserProfile
from apps.core.models import Job
from apps.core.states import AccessState
from apps.identity import passwords
from apps.instances.models import Seat, SeatWait
from apps.notifications.mail import KEYCLOAK_TEMPLATE
from apps.notifications.models import Notification

WAITING, BUSY, DONE, HELD = "waiting", "busy", "done", "held"
SLOW = "This is taking longer than usual. It will continue automatically."
STUCK = "This is taking longer than usual. We've been notified and are on it; you don't need to do anything."
NO_ROOM = (
    "One of your apps has no free place at the moment. You are first in line: it is set up as soon as there is room,"
    " and everything else works already."
)
# The kinds of jobs behind each stage; the payment's is keyed by the signup, the others by the profile.
KINDS = {
    "payment": ("settle_signup",),
    "account": reconcile.KINDS,
    "apps": reconcile.KINDS,
    "password": (passwords.KIND,),
}


@dataclass(frozen=True)
class Stage:
    """One line of the success page; `state` is waiting, busy, done or held (stands still until somebody acts)."""

    id: str
    title: str
    state: str
    note: str = ""


@dataclass(frozen=True)
class Progress:
    """All stages; `finished` when nothing is left to wait for, `ended` when the payment was given up."""

    stages: tuple[Stage, ...]
    ended: bool = False

    @property
    def finished(self) -> bool:
        """Whether every stage is done."""
        return all(stage.state == DONE for stage in self.stages)

    @property
    def usable(self) -> bool:
        """Whether the person can set a password and log in, even if an app is still to come."""
        done = {stage.id for stage in self.stages if stage.state == DONE}
        return {"account", "password"} <= done

    @property
    def settled(self) -> bool:
        """Whether nothing will change by waiting on this page."""
        return self.ended or self.finished


def progress(signup: Signup) -> Progress:
    """Where `signup` stands now; at most five queries, none outside."""
    profile = signup.profile
    paid = signup.state == Signup.State.PAID
    made = paid and profile is not None and profile.keycloak_id is not None
    waits = made and SeatWait.objects.filter(profile=profile).exists()
    facts = [
        (
            "payment",
            "Payment confirmed",
            paid,
            "" if paid else "Stripe is confirming your payment.",
        ),
        ("account", "Account created", made, f"Your username is {signup.username}."),
        (
            "apps",
            "Apps ready",
            made and not waits and _apps_ready(profile),
            NO_ROOM if waits else "",
        ),
        (
            "password",
            "Password email sent",
            made and _password_mail_sent(profile),
            f"It's going to {signup.email}.",
        ),
    ]
    trouble = _trouble(signup, profile)
    stages, reached = [], True
    for identity, title, done, note in facts:
        stage = Stage(identity, title, DONE if done else BUSY if reached else WAITING, note)
        stages.append(stage if done or not reached else _troubled(stage, trouble, waits=waits))
        # Places and mails do not wait for each other.
        reached = reached and (done or identity == "apps")
    return Progress(tuple(stages), ended=signup.state == Signup.State.EXPIRED)


def _troubled(stage: Stage, trouble: Mapping[str, str], *, waits: bool) -> Stage:
    """The stage under way, with what keeps it."""
    if stage.id == "apps" and waits:
        return Stage(stage.id, stage.title, HELD, stage.note)
    found = {trouble[kind] for kind in KINDS[stage.id] if kind in trouble}
    if HELD in found:
        return Stage(stage.id, stage.title, HELD, STUCK)
    return Stage(stage.id, stage.title, BUSY, SLOW if found else stage.note)


def _trouble(signup: Signup, profile: UserProfile | None) -> dict[str, str]:
    """Kinds of this person's jobs that are late: HELD when one has given up or waits for staff, BUSY while it is retried."""
    ours = {
        kind: str(signup.pk) if stage == "payment" else str(profile.pk) if profile else ""
        for stage, kinds in KINDS.items()
        for kind in kinds
    }
    open_jobs = Job.objects.filter(key__in=set(ours.values()), kind__in=ours).exclude(
        state__in=[Job.State.DONE, Job.State.SUPERSEDED]
    )
    found: dict[str, str] = {}
    for job in open_jobs:
        if ours[job.kind] != job.key:
            continue
        if job.state in {Job.State.DEAD, Job.State.BLOCKED}:
            found[job.kind] = HELD
        elif job.parked_on or job.last_error:
            found.setdefault(job.kind, BUSY)
    return found


def _apps_ready(profile: UserProfile | None) -> bool:
    """Whether the account is open, the last look at it was carried out, and no place is merely held."""
    return (
        profile is not None
        and AccessState(profile.access_state).has_access
        and profile.observed_generation >= profile.desired_generation
        and not Seat.objects.filter(profile=profile, state=Seat.State.RESERVED).exists()
    )


def _password_mail_sent(profile: UserProfile | None) -> bool:
    return Notification.objects.filter(
        profile=profile, template=KEYCLOAK_TEMPLATE, state=Notification.State.SENT
    ).exists()
