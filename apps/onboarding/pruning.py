"""What ends unused: spent codes, signups that never reached payment, unconfirmed waitlist addresses."""

import datetime as dt

from apps.accounts.models import Signup
from apps.core import retention
from apps.onboarding.models import OneTimeCode, WaitlistEntry


def register() -> None:
    """Name the rows of the retention table that are ours."""
    retention.register("codes", prune_codes)
    retention.register("unpaid_signups", prune_signups)
    retention.register("unconfirmed_waitlist", prune_waitlist)


def prune_codes(before: dt.datetime) -> int:
    """Codes that have ended."""
    return retention.delete_in_batches(OneTimeCode.objects.filter(expires_at__lt=before))


def prune_signups(before: dt.datetime) -> int:
    """Open signups that never reached the payment."""
    return retention.delete_in_batches(
        Signup.objects.filter(state=Signup.State.OPEN, profile=None, created_at__lt=before)
    )


def prune_waitlist(before: dt.datetime) -> int:
    """Unconfirmed addresses."""
    waiting = WaitlistEntry.objects.filter(state=WaitlistEntry.State.WAITING, confirmed_at=None)
    return retention.delete_in_batches(waiting.filter(created_at__lt=before))
