"""Cards that expire: once a day those are found that are charged for a subscription and expire this month or the next.

Each card is told in both months. All are found by one statement over the mirror; who has another card by then is not told.
"""

import datetime as dt
from collections.abc import Iterator

from apps.access import lifecycle_emails
from apps.accounts.models import UserProfile
from apps.billing.cards import ExpiringCard, find_expiring_cards
from apps.core import clock, jobs
from apps.core.models import Job
from apps.core.states import AccessState, values_where
from apps.notifications.models import Notification

KIND = "check_expiring_cards"
DAILY_SECONDS = 86_400


def register() -> None:
    """Make the job kind known."""
    label = "Check which cards expire"
    jobs.register(KIND, check_expiring_cards, label=label, every=DAILY_SECONDS, importance=Job.Importance.SWEEP)


def check_expiring_cards(_key: str) -> None:
    """The job: ask for the emails that nobody has asked for yet."""
    today = clock.now()
    cards = [card for month in this_month_and_next(today) for card in find_expiring_cards(month.year, month.month)]
    open_for = values_where(AccessState, lambda one: one.has_access)
    people = UserProfile.objects.filter(
        stripe_customer_id__in={one.customer_id for one in cards}, access_state__in=open_for
    )
    owners = dict(people.values_list("stripe_customer_id", "pk"))
    keys = {f"{owners[one.customer_id]}:{about(one, today)}" for one in cards if one.customer_id in owners}
    known = {f"card_expiring:{key}" for key in keys}
    told = set(Notification.objects.filter(key__in=known).values_list("key", flat=True))
    wanted = {key: f"{lifecycle_emails.CARD_EXPIRING}:{key}" for key in keys if f"card_expiring:{key}" not in told}
    if wanted:
        jobs.defer_many(lifecycle_emails.CARD_EXPIRING, wanted, reason="the card expires")


def about(card: ExpiringCard, today: dt.datetime) -> str:
    """What the email is about: the card, the month in which it expires, and that in which it is told."""
    return f"{card.id}:{card.year:04}-{card.month:02}:{today:%Y-%m}"


def this_month_and_next(today: dt.datetime) -> Iterator[dt.date]:
    """Their first days."""
    first = today.date().replace(day=1)
    yield from (first, (first + dt.timedelta(days=31)).replace(day=1))
