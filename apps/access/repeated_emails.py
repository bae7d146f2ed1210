"""An email of a subscription's life, sent again because staff decided so.

Promises: it goes to the subscriber's present address and says what holds now; what is no longer true is not sent, by the check of the
first sending (email_values.py), nor is what email_list.py keeps to one sending. It is an email of its own, which names the first one,
so that what became of each is known. Of a doubled click, or of two staff at once, one sends.
"""

import datetime as dt
from dataclasses import dataclass, field

from django.db import transaction

from apps.access.email_values import Values
from apps.access.lifecycle_emails import fill_in
from apps.accounts.models import UserProfile
from apps.core import audit, clock, jobs, limits
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.core.models import Job
from apps.notifications.email_list import kind_of
from apps.notifications.mail import KIND, notify
from apps.notifications.models import Notification

QUIET = dt.timedelta(minutes=10)  # after it was sent again
JUST_SENT = "It was sent again less than ten minutes ago."
TOO_MANY = "Too many emails were sent again to this subscriber, or by you. Please wait an hour."


@dataclass(frozen=True)
class Repetition:
    """What sending an email again would send, with its `values`; `refusal`: why it cannot be."""

    email: Notification
    values: Values = field(default_factory=dict)
    refusal: str = ""


def plan_repetition(email: Notification) -> Repetition:
    """What would be sent now, if anything. Needs the email's `profile__user` and `repeats`."""
    if refusal := _refuse(email):
        return Repetition(email, refusal=refusal)
    profile, about = email.profile, _about(email)
    values = fill_in(profile, email.template, about) if profile and about else None
    if values is None:
        return Repetition(email, refusal="What it says is no longer true.")
    return Repetition(email, values)


@transaction.atomic
def send_again(email: Notification, *, actor: str, reason: str) -> Notification:
    """Send it as a new email, which is returned. BadInput when that cannot be, or is too often."""
    first, profile = _first(email), email.profile
    key = _key_of_next(
        first
    )  # before it is asked whether one was just sent: who is too late for that finds the key taken
    planned = plan_repetition(email)
    if planned.refusal or profile is None:
        raise BadInput(planned.refusal)
    if not limits.allow(repeated_emails=str(profile.pk), repeated_emails_staff=actor):
        raise BadInput(TOO_MANY, code="limit", status=429)
    wanted = {"template": first.template, "to": profile.email, "profile": profile, "context": planned.values}
    if not notify(key=key, **wanted, repeats=first):  # type: ignore[arg-type]
        raise BadInput(JUST_SENT)
    sent = Notification.objects.get(key=key)
    jobs.withdraw(KIND, email.pk, why=f"Staff sent it again, as email {sent.pk}.")
    after = {"email": sent.pk, "repeats": first.pk, "template": first.template}
    audit.record(subject=profile.subject, action=AuditAction.EMAIL_RESENT, actor=actor, reason=reason, after=after)
    return sent


def _first(email: Notification) -> Notification:
    """The one that was sent at first: a repetition of a repetition repeats that one."""
    return email.repeats or email


def _key_of_next(first: Notification) -> str:
    """The number of the next repetition: two that are asked for at once have the same, and the key is unique."""
    return f"again:{first.pk}:{first.repetitions.count() + 1}"


def _about(email: Notification) -> str:
    """What it is about: the first one's key after its template and subscriber. Empty for a key that says no such thing."""
    prefix = f"{email.template}:{email.profile_id}:"
    key = _first(email).key
    return key.removeprefix(prefix) if key.startswith(prefix) else ""


def _refuse(email: Notification) -> str:
    """Why this one cannot be sent again, whatever it says."""
    if refusal := kind_of(email.template).not_again:
        return refusal
    if email.profile is None:
        return "It belongs to no subscriber any more."
    if email.profile.email_problem == UserProfile.EmailProblem.COMPLAINED:
        return "They marked an email of ours as spam, and Mailgun sends them no further ones."
    unfinished = Job.objects.filter(kind=KIND, key=str(email.pk), state__in=[Job.State.QUEUED, Job.State.RUNNING])
    if unfinished.exists():
        return "It is still being sent."
    recent = _first(email).repetitions.filter(created_at__gt=clock.now() - QUIET)
    return JUST_SENT if recent.exists() else ""
