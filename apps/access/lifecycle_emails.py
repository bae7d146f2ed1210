"""The emails about a subscriber's access and payments, each a job whose key is "<profile id>:<what it is about>", so each mails once.

announcements.py asks for them. The text comes from the subscriber's own rows at the time of sending (email_values.py); one that no
longer applies is not sent.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Callable
from functools import partial

from django.db.models import Q

from apps.access import email_values
from apps.access.email_values import Values
from apps.accounts.models import UserProfile
from apps.core import clock, jobs, languages
from apps.core.dependencies import RESTORED
from apps.core.models import Job
from apps.notifications.email_list import email_title
from apps.notifications.mail import notify

WELCOME = "notify_welcome"
TRIAL_ENDING = "notify_trial_ending"
PAYMENT_FAILED = "notify_payment_failed"
DEBIT_REFUSED = "notify_debit_refused"
ACCESS_ENDS = "notify_access_ends_soon"
PAYMENT_RECOVERED = "notify_payment_recovered"
ACTION_REQUIRED = "notify_payment_action_required"
CARD_EXPIRING = "notify_card_expiring"
PLAN_CHANGED = "notify_plan_changed"
REFUNDED = "notify_refunded"
DUPLICATE = "notify_duplicate_found"
CANCELLATION = "notify_cancellation_scheduled"
CANCELED = "notify_subscription_canceled"
EXPIRY_REMINDER = "notify_expiry_reminder"
EXPIRED = "notify_expired"
RECOVERY_OPENED = "notify_recovery_opened"
RECOVERED = "notify_recovered"
SHARED_TRIAL_ENDING = "notify_shared_trial_ending"
SHARED_PAUSED = "notify_shared_paused"
SHARED_ENDED = "notify_shared_ended"

EMAILS: dict[str, tuple[str, Callable[[UserProfile, str], Values | None]]] = {
    WELCOME: ("welcome", email_values.welcome),
    TRIAL_ENDING: ("trial_ending", email_values.trial),
    PAYMENT_FAILED: ("payment_failed", email_values.failed_payment),
    DEBIT_REFUSED: ("debit_refused", email_values.refused_debit),
    ACCESS_ENDS: ("access_ends_soon", email_values.access_ends),
    PAYMENT_RECOVERED: ("payment_recovered", email_values.only_active),
    ACTION_REQUIRED: ("payment_action_required", email_values.asked_to_confirm),
    CARD_EXPIRING: ("card_expiring", email_values.expiring_card),
    PLAN_CHANGED: ("plan_changed", email_values.changed_plan),
    REFUNDED: ("refunded", email_values.refund),
    DUPLICATE: ("duplicate_found", email_values.duplicate),
    CANCELLATION: ("cancellation_scheduled", email_values.scheduled_cancellation),
    CANCELED: ("subscription_canceled", email_values.cancellation),
    EXPIRY_REMINDER: ("expiry_reminder", email_values.reminder),
    EXPIRED: ("expired", email_values.expiry),
    RECOVERY_OPENED: ("recovery_opened", email_values.recovery),
    RECOVERED: ("recovered", email_values.only_active),
    SHARED_TRIAL_ENDING: ("shared_trial_ending", email_values.shared_trial),
    SHARED_PAUSED: ("shared_paused", email_values.shared_pause),
    SHARED_ENDED: ("shared_ended", email_values.shared_end),
}
VALUES_OF = dict(EMAILS.values())


def register() -> None:
    """Make the job kinds known."""
    for kind, (template, _) in EMAILS.items():
        handler = partial(send_lifecycle_email, template=template)
        jobs.register(kind, handler, label=f"Email: {email_title(template)}", needs=(RESTORED,))


def send_lifecycle_email(key: str, *, template: str) -> None:
    """The job: send `template` to the subscriber in `key`, unless they are gone or it no longer applies."""
    profile_id, _, about = key.partition(":")
    profile = UserProfile.objects.select_related("user").filter(pk=profile_id).first()
    values = fill_in(profile, template, about) if profile else None
    if profile is None or values is None:
        return
    notify(key=f"{template}:{key}", template=template, to=profile.email, profile=profile, context=values)


def fill_in(profile: UserProfile, template: str, about: str) -> Values | None:
    """What the email would say to this subscriber now, in their language; None when it no longer applies."""
    with languages.speaking_to(profile.language):
        values = VALUES_OF[template](profile, about)
    return None if values is None else {"first_name": profile.user.first_name} | values


def withhold(*, since: dt.datetime, sent_until: dt.datetime | None) -> int:
    """End those that a restored database asks for once more; returns how many.

    What was asked for `since`, because changes of the lost time were seen again, and what was due by `sent_until`, or is parked.
    """
    again = Q(created_at__gte=since) | ~Q(parked_on="")
    again |= Q(not_before__lte=sent_until) if sent_until else Q()
    waiting = Job.objects.filter(again, kind__in=EMAILS, state=Job.State.QUEUED)
    keys: dict[str, list[str]] = defaultdict(list)
    for kind, key in waiting.values_list("kind", "key"):
        keys[kind].append(key)
    soon, why = clock.now() + dt.timedelta(minutes=1), "The database was restored; it was told before."
    return sum(jobs.supersede_waiting(kind, found, before=soon, why=why) for kind, found in keys.items())
