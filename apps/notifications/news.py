"""The mails that jobs ask for by id: the end of a subscription, a payment that failed, and what follows from the end.

Keys are "<profile id>:<Stripe id>" or "<profile id>:<moment, Unix seconds>", so each thing is told of once. The words come from the
subscriber's own row; only the link to pay is looked up in billing, through Django's registry, because billing and
notifications are neighbours that do not import each other.
"""

import datetime as dt

from django.apps import apps
from django.utils.formats import date_format

from apps.accounts.models import UserProfile
from apps.core import jobs
from apps.core.states import AccessState
from apps.notifications.mail import notify

CANCELED = "notify_subscription_canceled"
PAYMENT_FAILED = "notify_payment_failed"
RECOVERY_OPENED = "notify_recovery_opened"
EXPIRY_REMINDER = "notify_expiry_reminder"
EXPIRED = "notify_expired"


def register() -> None:
    """Make the job kinds known."""
    jobs.register(CANCELED, tell_of_cancellation)
    jobs.register(PAYMENT_FAILED, tell_of_failed_payment)
    jobs.register(RECOVERY_OPENED, tell_of_recovery)
    jobs.register(EXPIRY_REMINDER, remind_of_expiry)
    jobs.register(EXPIRED, tell_of_expiry)


def tell_of_cancellation(key: str) -> None:
    """The job `notify_subscription_canceled`: key "<profile id>:<subscription id>"."""
    found = _profile(key)
    if found is None:
        return
    profile, _ = found
    notify(
        key=f"subscription_canceled:{key}",
        template="subscription_canceled",
        to=profile.email,
        profile=profile,
        context={
            "first_name": profile.user.first_name,
            "sentence": profile.access_sentence,
            "final_date": day(profile.final_expiry_at),
        },
    )


def tell_of_failed_payment(key: str) -> None:
    """The job `notify_payment_failed`: key "<profile id>:<invoice id>"."""
    found = _profile(key)
    if found is None:
        return
    profile, invoice_id = found
    notify(
        key=f"payment_failed:{key}",
        template="payment_failed",
        to=profile.email,
        profile=profile,
        context={
            "first_name": profile.user.first_name,
            "sentence": profile.access_sentence,
            "invoice_url": _invoice_url(profile, invoice_id),
        },
    )


def tell_of_recovery(key: str) -> None:
    """The job `notify_recovery_opened`: key "<profile id>:<end of the window>"."""
    found = _profile(key)
    if found is None:
        return
    profile, end = found
    until = date_format(dt.datetime.fromtimestamp(int(end), dt.UTC), "j F Y, H:i")
    notify(
        key=f"recovery_opened:{key}",
        template="recovery_opened",
        to=profile.email,
        profile=profile,
        context={"first_name": profile.user.first_name, "until": f"{until} UTC"},
    )


def remind_of_expiry(key: str) -> None:
    """The job `notify_expiry_reminder`: key "<profile id>:<final date>"; nothing when the person is back, or the date moved."""
    found = _profile(key)
    if found is None:
        return
    profile, final = found
    stands = profile.final_expiry_at is not None and int(profile.final_expiry_at.timestamp()) == int(final)
    if not stands or profile.access_state not in {AccessState.CANCELED, AccessState.RECOVERING}:
        return
    notify(
        key=f"expiry_reminder:{key}",
        template="expiry_reminder",
        to=profile.email,
        profile=profile,
        context={"first_name": profile.user.first_name, "final_date": day(profile.final_expiry_at)},
    )


def tell_of_expiry(key: str) -> None:
    """The job `notify_expired`: key "<profile id>:<final date>"; nothing when the person is back."""
    found = _profile(key)
    if found is None or found[0].access_state != AccessState.EXPIRED:
        return
    profile, _ = found
    notify(
        key=f"expired:{key}",
        template="expired",
        to=profile.email,
        profile=profile,
        context={"first_name": profile.user.first_name},
    )


def day(moment: dt.datetime | None) -> str:
    """A date as mails write it, "3 December 2026" (UTC); empty for None."""
    return date_format(moment.astimezone(dt.UTC), "j F Y") if moment else ""


def _profile(key: str) -> tuple[UserProfile, str] | None:
    """The profile and the Stripe id a key names; None when the profile is gone."""
    profile_id, _, stripe_id = key.partition(":")
    profile = UserProfile.objects.select_related("user").filter(pk=profile_id).first()
    return (profile, stripe_id) if profile else None


def _invoice_url(profile: UserProfile, invoice_id: str) -> str:
    """Stripe's page to pay the invoice, as last fetched; empty when not known (the mail then leads to the dashboard)."""
    subscriptions = apps.get_model("billing", "Subscription")._default_manager
    found = subscriptions.filter(customer_id=profile.stripe_customer_id or "", open_invoice_id=invoice_id)
    return str(found.values_list("open_invoice_url", flat=True).first() or "")
