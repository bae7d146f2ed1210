"""Every page of the console, one module for each domain. Imported by Django's autodiscovery, after all other apps' admins.

Importing it takes the vendors' own pages off first: dj-stripe's mount a view by which any staff cancel subscriptions, and
django-q2's show arguments and offer deletion.
"""

from apps.console.admin import vendors  # isort: skip  (unregisters what others have registered, before ours come)
from apps.console.admin import (
    capacity,
    catalog,
    drift,
    events,
    jobs,
    losses,
    mails,
    mirror,
    overrides,
    realm,
    runs,
    seats,
    signups,
    staff,
    subscribers,
    timeline,
    waitlist,
)

__all__ = [
    "capacity",
    "catalog",
    "drift",
    "events",
    "jobs",
    "losses",
    "mails",
    "mirror",
    "overrides",
    "realm",
    "runs",
    "seats",
    "signups",
    "staff",
    "subscribers",
    "timeline",
    "vendors",
    "waitlist",
]
