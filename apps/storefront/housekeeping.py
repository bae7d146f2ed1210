"""What the storefront forgets by itself, once a day: spent codes, and signups that never reached a payment."""

import datetime as dt

from apps.accounts.models import Signup
from apps.core import clock, jobs
from apps.storefront.models import OneTimeCode

KIND = "forget_stale_signups"
CODES_AFTER = dt.timedelta(days=1)
SIGNUPS_AFTER = dt.timedelta(days=30)
DAY = 86400


def register() -> None:
    """Make the daily job known."""
    jobs.register(KIND, forget, every=DAY)


def forget(_key: str) -> None:
    """Delete codes a day after their end, and open signups nobody came back to within 30 days."""
    now = clock.now()
    OneTimeCode.objects.filter(expires_at__lt=now - CODES_AFTER).delete()
    Signup.objects.filter(state=Signup.State.OPEN, profile=None, created_at__lt=now - SIGNUPS_AFTER).delete()
