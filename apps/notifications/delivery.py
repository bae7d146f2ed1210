"""What became of each mail, and which subscribers no mail reaches.

Promises: Mailgun's events may come twice, late and in any order: a mail's delivery depends on which were told, not on when. A
subscriber's address is marked while the last mail to it that was decided did not arrive, and staff are told; the mark goes
with another address, or with a mail that arrives.
"""

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Q

from apps.accounts.models import UserProfile
from apps.core import attention, jobs
from apps.core.attention import Cause
from apps.notifications.mail import KIND
from apps.notifications.models import Notification

Delivery = Notification.Delivery
Weight = tuple[int, dt.datetime, int, str]

# Called in the transaction that marks a subscriber: nobody reads what we write to this one.
on_unreachable: list[Callable[[UserProfile], object]] = []

# What a later group says counts, whenever it was said: a delay is over once the mail was decided, and only a mail that arrived can be
# complained about. Within a group the latest counts.
GROUPS = ({Delivery.DELAYED}, {Delivery.DELIVERED, Delivery.BOUNCED, Delivery.FAILED}, {Delivery.COMPLAINED})
DECIDED = GROUPS[1] | GROUPS[2]
ORDER = list(Delivery)  # of what was said of one moment: the worse counts
ADDRESS = re.compile(r"\S*@\S*")
WORDS = {
    "bounced": "Emails to this subscriber bounce",
    "failed": "Mailgun refuses emails to this subscriber",
    "complained": "This subscriber marked an email of ours as spam, and Mailgun sends them no further ones",
}
ADVICE = (
    "Reach them another way, and correct the address in Keycloak. If the address is right, remove it from Mailgun's list of"
    " suppressions. This item ends with another address, or with the first email that arrives."
)


@dataclass(frozen=True, kw_only=True)
class DeliveryEvent:
    """One event of Mailgun's about one mail. `provider_id`: Mailgun's id of it; `notification`: ours."""

    delivery: Delivery
    at: dt.datetime
    notification: int
    provider_id: str
    recipient: str
    reason: str


def clean_reason(text: str) -> str:
    """The other server's words on one line, without addresses."""
    return " ".join(ADDRESS.sub("…", text).split())[:200]


def weigh(delivery: str, at: dt.datetime, reason: str) -> Weight:
    """The greatest of what was told of a mail is what became of it."""
    found = Delivery(delivery)
    group = next(number for number, group in enumerate(GROUPS) if found in group)
    return group, at, ORDER.index(found), reason


@transaction.atomic
def record(event: DeliveryEvent) -> bool:
    """Write what became of a mail; False when it is none of ours, or of a former address."""
    row = _find(event)
    if row is None:
        return False
    before = weigh(row.delivery, row.delivery_at, row.delivery_reason) if row.delivery and row.delivery_at else None
    if before is None or before < weigh(event.delivery, event.at, event.reason):
        row.delivery, row.delivery_at, row.delivery_reason = event.delivery, event.at, event.reason
        row.provider_id = event.provider_id
        row.save(update_fields=["delivery", "delivery_at", "delivery_reason", "provider_id"])
    if row.state == Notification.State.UNCERTAIN:  # it left after all
        jobs.defer(KIND, row.pk, reason="Mailgun told of it")
    if row.profile_id is not None:
        check_address(row.profile_id)
    return True


def _find(event: DeliveryEvent) -> Notification | None:
    """The mail, locked. One whose answer was lost has no id of Mailgun's yet, and is known by its number and receiver."""
    ours = Q(provider_id=event.provider_id) | Q(provider_id="", to__iexact=event.recipient)
    return Notification.objects.select_for_update().filter(ours, pk=event.notification).exclude(to="").first()


@transaction.atomic
def check_address(profile_id: int) -> None:
    """Mark the subscriber's present address, or clear the mark, by the last mail to it that was decided."""
    profile = UserProfile.objects.select_for_update(of=("self",)).get(pk=profile_id)
    mails = Notification.objects.filter(profile=profile, to__iexact=profile.email, delivery__in=DECIDED)
    last = mails.order_by("-delivery_at", "-pk").defer("context").first()
    problem = last.delivery if last and last.delivery != Delivery.DELIVERED else ""
    if problem == profile.email_problem:
        return
    profile.email_problem, profile.email_problem_at = problem, last.delivery_at if last and problem else None
    profile.save(update_fields=["email_problem", "email_problem_at"])
    if last is None or not problem:
        attention.resolve(Cause.UNREACHABLE, str(profile.pk), why="Emails arrive again, or the address has changed.")
        return
    said = f" ({last.delivery_reason})" if last.delivery_reason else ""
    attention.report(Cause.UNREACHABLE, str(profile.pk), f"{WORDS[problem]}{said}. {ADVICE}", profiles=[profile.pk])
    for listener in on_unreachable:
        listener(profile)
