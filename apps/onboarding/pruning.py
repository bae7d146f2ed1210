"""Once a day, delete spent codes, signups that never reached payment, and waitlist addresses that were never confirmed."""

import datetime as dt

from apps.accounts.models import Signup
from apps.core import clock, jobs
from apps.core.models import Job
from apps.onboarding.models import OneTimeCode, WaitlistEntry

PRUNE_SIGNUPS = "prune_signups"  # job kind
KEEP_CODES = dt.timedelta(days=1)
KEEP_OPEN_SIGNUPS = dt.timedelta(days=30)
KEEP_UNCONFIRMED_ENTRIES = dt.timedelta(days=14)
DAY = 86400


def register() -> None:
    """Register the daily job."""
    jobs.register(
        PRUNE_SIGNUPS, prune_signups, label="Prune unpaid signups", every=DAY, importance=Job.Importance.SWEEP
    )


def prune_signups(_key: str) -> None:
    """Delete codes a day after they end, open signups after 30 days, and unconfirmed addresses after 14."""
    now = clock.now()
    OneTimeCode.objects.filter(expires_at__lt=now - KEEP_CODES).delete()
    Signup.objects.filter(state=Signup.State.OPEN, profile=None, created_at__lt=now - KEEP_OPEN_SIGNUPS).delete()
    unconfirmed = WaitlistEntry.objects.filter(state=WaitlistEntry.State.WAITING, confirmed_at=None)
    unconfirmed.filter(created_at__lt=now - KEEP_UNCONFIRMED_ENTRIES).delete()
