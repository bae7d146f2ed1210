"""How far a paid signup has come, read from our own rows: payment, account, apps, password email. No outside call.

The success page shows it. A stage that waits for staff says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from apps.access import reconcile
from apps.accounts.models import Signup, UserProfile
from apps.billing import subscriptions
from apps.core.models import Job
from apps.core.states import AccessState
from apps.identity import passwords
from apps.instances.models import Seat, SeatWait
from apps.notifications.mail import KEYCLOAK_TEMPLATE
from apps.notifications.models import Notification
from apps.onboarding import checkout_result

WAITING, BUSY, DONE, DELAYED = "waiting", "busy", "done", "delayed"
SLOW = gettext_noop("This is taking longer than usual. It will continue automatically.")
STUCK = gettext_noop(
    "This is taking longer than usual. We've been notified and are on it; you don't need to do anything."
)
NO_ROOM = gettext_noop(
    "One of your apps is full right now. You're first in line: we'll set it up as soon as there's room."
    " Everything else already works."
)
DEBITED = gettext_noop("Your bank is still confirming the debit. That can take a few days.")
# The jobs behind each stage; the payment's is keyed by the signup, the others by the profile.
STAGE_JOBS = {
    "payment": (checkout_result.CHECK_CHECKOUT,),
    "account": reconcile.KINDS,
    "apps": reconcile.KINDS,
    "password": (passwords.KIND,),
}


@dataclass(frozen=True)
class SignupStage:
    """One line of the success page; `state` is waiting, busy, done or delayed (staff have to act)."""

    id: str
    title: str
    state: str
    note: str = ""


@dataclass(frozen=True)
class SignupProgress:
    """All stages; `ended` when the checkout expired unpaid, `debited` while a bank takes days to pay, `has_password` of who signed up with
    an account that was there: nothing is mailed to set one.
    """

    stages: tuple[SignupStage, ...]
    ended: bool = False
    debited: bool = False
    has_password: bool = False

    @property
    def finished(self) -> bool:
        """Whether every stage is done."""
        return all(stage.state == DONE for stage in self.stages)

    @property
    def usable(self) -> bool:
        """Whether the person can set a password and log in, even if an app is still to come."""
        done = {stage.id for stage in self.stages if stage.state == DONE}
        return ({"account"} if self.has_password else {"account", "password"}) <= done

    @property
    def final(self) -> bool:
        """Whether waiting on this page will change nothing."""
        return self.ended or self.finished


def read_progress(signup: Signup) -> SignupProgress:
    """The progress of `signup`, in at most five queries."""
    profile = signup.profile
    paid = signup.state == Signup.State.PAID
    debited = _is_debited(signup, profile)
    made = profile is not None and profile.keycloak_id is not None and (paid or (debited and _is_open(profile)))
    has_password = _has_password(signup, profile)
    waits = made and SeatWait.objects.filter(profile=profile).exists()
    facts = [
        (
            "payment",
            _("Payment confirmed"),
            paid,
            "" if paid else _(DEBITED) if debited else _("Stripe is confirming your payment."),
        ),
        (
            "account",
            _("Account connected") if has_password else _("Account created"),
            made,
            _("Your username is {username}.").format(username=signup.username),
        ),
        (
            "apps",
            _("Apps ready"),
            made and not waits and _apps_ready(profile),
            _(NO_ROOM) if waits else "",
        ),
        (
            "password",
            _("Password email sent"),
            made and _password_email_sent(profile),
            _("To {address}.").format(address=signup.email),
        ),
    ]
    if has_password:
        facts = [one for one in facts if one[0] != "password"]
    late = _find_late_jobs(signup, profile)
    stages, reached = [], True
    for identity, title, done, note in facts:
        stage = SignupStage(identity, title, DONE if done else BUSY if reached else WAITING, note)
        stages.append(stage if done or not reached else _explain_delay(stage, late, waits=waits))
        # The password email does not wait for the apps.
        reached = reached and (done or identity == "apps")
    ended = signup.state in Signup.UNPAID
    return SignupProgress(tuple(stages), ended=ended, debited=debited, has_password=has_password)


def _has_password(signup: Signup, profile: UserProfile | None) -> bool:
    """Whether they have signed up with an account that was there, unless it was deleted meanwhile and a new one was made."""
    linked = profile.keycloak_id if profile else None
    return bool(signup.keycloak_id) and linked in (None, signup.keycloak_id)


def _is_debited(signup: Signup, profile: UserProfile | None) -> bool:
    """Whether the payment form is done and the bank has yet to pay."""
    if profile is None or signup.state != Signup.State.CHECKOUT:
        return False
    return subscriptions.awaits_first_payment(profile.stripe_customer_id, since=signup.created_at)


def _is_open(profile: UserProfile) -> bool:
    return AccessState(profile.access_state).has_access


def _explain_delay(stage: SignupStage, late: Mapping[str, str], *, waits: bool) -> SignupStage:
    """The current stage, with what delays it."""
    if stage.id == "apps" and waits:
        return SignupStage(stage.id, stage.title, DELAYED, stage.note)
    found = {late[kind] for kind in STAGE_JOBS[stage.id] if kind in late}
    if DELAYED in found:
        return SignupStage(stage.id, stage.title, DELAYED, _(STUCK))
    return SignupStage(stage.id, stage.title, BUSY, _(SLOW) if found else stage.note)


def _find_late_jobs(signup: Signup, profile: UserProfile | None) -> dict[str, str]:
    """Late jobs by kind: DELAYED when one is dead or waits for staff, BUSY while it is retried."""
    ours = {
        kind: str(signup.pk) if stage == "payment" else str(profile.pk) if profile else ""
        for stage, kinds in STAGE_JOBS.items()
        for kind in kinds
    }
    open_jobs = Job.objects.filter(key__in=set(ours.values()), kind__in=ours).exclude(state__in=Job.FINISHED)
    found: dict[str, str] = {}
    for job in open_jobs:
        if ours[job.kind] != job.key:
            continue
        if job.state in Job.GIVEN_UP:
            found[job.kind] = DELAYED
        elif job.parked_on or job.last_error:
            found.setdefault(job.kind, BUSY)
    return found


def _apps_ready(profile: UserProfile | None) -> bool:
    """Whether the account is open and in sync, and no seat is merely reserved."""
    return (
        profile is not None
        and _is_open(profile)
        and profile.observed_generation >= profile.desired_generation
        and not Seat.objects.filter(profile=profile, state=Seat.State.RESERVED).exists()
    )


def _password_email_sent(profile: UserProfile | None) -> bool:
    return Notification.objects.filter(
        profile=profile, template=KEYCLOAK_TEMPLATE, state=Notification.State.SENT
    ).exists()
