"""What the storefront forgets by itself, once a day: spent codes, signups without a payment, addresses nobody confirmed."""

import datetime as dt

from apps.accounts.models import Signup
from apps.core import clock, jobs
from apps.onboarding.models import OneTimeCode, WaitlistEntry

KIND = "forget_stale_signups"
CODES_AFTER = dt.timedelta(days=1)
SIGNUPS_AFTER = dt.timedelta(days=30)
UNCONFIRMED_AFTER = dt.timedelta(days=14)
DAY = 86400


def register() -> None:
    """Make the daily job known."""
    jobs.register(KIND, forget, label="Prune unpaid signups", every=DAY)


def forget(_key: str) -> None:
    """Delete codes a day after their end, signups nobody came back to within 30 days, unconfirmed addresses after 14."""
    now = clock.now()
    OneTimeCode.objects.filter(expires_at__lt=now - CODES_AFTER).delete()
    Signup.objects.filter(state=Signup.State.OPEN, profile=None, created_at__lt=now - SIGNUPS_AFTER).delete()
    unconfirmed = WaitlistEntry.objects.filter(state=WaitlistEntry.State.WAITING, confirmed_at=None)
    unconfirmed.filter(created_at__lt=now - UNCONFIRMED_AFTER).delete()
