"""The emails that follow a change of access: cancellation, failed payment, open recovery, coming and final expiry.

Each is a job whose key is "<profile id>:<Stripe id>" or "<profile id>:<date in Unix seconds>", so each event mails once. The
text comes from the subscriber's own row at the time of sending; one that no longer applies is not sent.
"""

import datetime as dt
from collections.abc import Callable
from functools import partial

from django.utils.formats import date_format

from apps.access.forecast import next_attempt
from apps.accounts.models import UserProfile
from apps.billing import subscriptions
from apps.core import clock, jobs
from apps.core.dependencies import RESTORED
from apps.core.states import AccessState
from apps.notifications.mail import notify

CANCELED = "notify_subscription_canceled"
PAYMENT_FAILED = "notify_payment_failed"
RECOVERY_OPENED = "notify_recovery_opened"
EXPIRY_REMINDER = "notify_expiry_reminder"
EXPIRED = "notify_expired"

Values = dict[str, str]


def register() -> None:
    """Make the job kinds known."""
    for kind, (template, values_of) in EMAILS.items():
        handler = partial(send_lifecycle_email, template=template, values_of=values_of)
        jobs.register(kind, handler, label=f"Email: {template.replace('_', ' ')}", needs=(RESTORED,))


def send_lifecycle_email(key: str, *, template: str, values_of: Callable[[UserProfile, str], Values | None]) -> None:
    """The job: send `template` to the subscriber in `key`, unless they are gone or it no longer applies."""
    profile_id, _, detail = key.partition(":")
    profile = UserProfile.objects.select_related("user").filter(pk=profile_id).first()
    values = values_of(profile, detail) if profile else None
    if profile is None or values is None:
        return
    context = {"first_name": profile.user.first_name} | values
    notify(key=f"{template}:{key}", template=template, to=profile.email, profile=profile, context=context)


def format_day(moment: dt.datetime | None) -> str:
    """A date as emails write it, "3 December 2026" (UTC); empty for None."""
    return date_format(moment.astimezone(dt.UTC), "j F Y") if moment else ""


def _cancellation(profile: UserProfile, _subscription_id: str) -> Values:
    return {"sentence": profile.access_sentence, "final_date": format_day(profile.final_expiry_at)}


def _failed_payment(profile: UserProfile, invoice_id: str) -> Values:
    url = subscriptions.open_invoice_url(profile.stripe_customer_id, invoice_id)
    attempt = next_attempt(profile.forecast, now=clock.now())
    return {
        "sentence": profile.access_sentence,
        "invoice_url": url,
        "next_attempt": format_day(attempt.at) if attempt else "",
    }


def _recovery(_profile: UserProfile, window_end: str) -> Values:
    return {"until": f"{date_format(dt.datetime.fromtimestamp(int(window_end), dt.UTC), 'j F Y, H:i')} UTC"}


def _reminder(profile: UserProfile, final: str) -> Values | None:
    """None when the subscriber is back, or the date has moved and has a reminder of its own."""
    final_expiry = profile.final_expiry_at
    if final_expiry is None or int(final_expiry.timestamp()) != int(final):
        return None
    awaits_expiry = AccessState(profile.access_state).awaits_expiry
    return {"final_date": format_day(final_expiry)} if awaits_expiry else None


def _expiry(profile: UserProfile, _final: str) -> Values | None:
    return {} if profile.access_state == AccessState.EXPIRED else None


EMAILS: dict[str, tuple[str, Callable[[UserProfile, str], Values | None]]] = {
    CANCELED: ("subscription_canceled", _cancellation),
    PAYMENT_FAILED: ("payment_failed", _failed_payment),
    RECOVERY_OPENED: ("recovery_opened", _recovery),
    EXPIRY_REMINDER: ("expiry_reminder", _reminder),
    EXPIRED: ("expired", _expiry),
}
