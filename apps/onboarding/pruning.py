"""What ends unused: spent codes, signups that never reached payment, unconfirmed waitlist addresses."""

import datetime as dt
from functools import reduce
from operator import or_

from django.db.models import Q, QuerySet

from apps.accounts import legal_holds
from apps.accounts.erasers import ERASERS, PersonRows
from apps.accounts.models import Signup, UserProfile
from apps.core import attention, retention
from apps.notifications.models import Notification
from apps.onboarding import forgetting, own_address
from apps.onboarding.models import AddressChange, OneTimeCode, WaitlistEntry

EMAILS = (
    "waitlist_confirm",
    "waitlist_note",
    "waitlist_invited",
)  # about an entry; their keys begin with them and its id


def register() -> None:
    """Name the rows of the retention table that are ours."""
    retention.register("codes", prune_codes, ended_codes)
    retention.register("unpaid_signups", prune_signups, of_nobody)
    retention.register("abandoned_signups", forgetting.forget_later, forgetting.overdue)
    retention.register("unconfirmed_waitlist", prune_waitlist, unconfirmed)
    retention.register("left_waitlist", prune_left, left)
    retention.register("ended_waitlist", prune_ended, ended)
    rows = AddressChange.objects.all()
    retention.register(
        "address_changes",
        lambda before: retention.delete_in_batches(own_address.outdated(before)),
        own_address.outdated,
    )
    ERASERS["former addresses"] = PersonRows(lambda profile: rows.filter(profile=profile), forget_addresses)
    ERASERS["waitlist entries"] = PersonRows(entries_of, lambda profile: _forget_entries(entries_of(profile)))


def forget_addresses(profile: UserProfile) -> int:
    """The former addresses of a person who is erased, and what staff were told of them; how many there were."""
    rows = AddressChange.objects.filter(profile=profile)
    keys = [str(pk) for pk in rows.values_list("pk", flat=True)]
    attention.resolve(attention.Cause.ADDRESS_OBJECTED, *keys, why="The person was erased.")
    return rows.delete()[0]


def prune_codes(before: dt.datetime) -> int:
    """Codes that have ended."""
    return retention.delete_in_batches(ended_codes(before))


def ended_codes(before: dt.datetime) -> QuerySet[OneTimeCode]:
    """Codes that ended before then."""
    return OneTimeCode.objects.filter(expires_at__lt=before)


def prune_signups(before: dt.datetime) -> int:
    """Signups that belong to no profile and have ended or never reached the payment."""
    return retention.delete_in_batches(of_nobody(before).filter(state__in=[Signup.State.OPEN, *Signup.UNPAID]))


def of_nobody(before: dt.datetime) -> QuerySet[Signup]:
    """Signups of before then that belong to no profile and were not paid, whatever state they are in."""
    return Signup.objects.filter(profile=None, created_at__lt=before).exclude(state=Signup.State.PAID)


def prune_waitlist(before: dt.datetime) -> int:
    """Unconfirmed addresses."""
    return retention.delete_in_batches(unconfirmed(before))


def unconfirmed(before: dt.datetime) -> QuerySet[WaitlistEntry]:
    """Addresses that joined before then and were never confirmed."""
    waiting = WaitlistEntry.objects.filter(state=WaitlistEntry.State.WAITING, confirmed_at=None)
    return waiting.filter(created_at__lt=before)


def prune_left(before: dt.datetime) -> int:
    """Addresses that left the list, with the mails about it: nobody writes to them anymore."""
    return _forget_entries(left(before))


def left(before: dt.datetime) -> QuerySet[WaitlistEntry]:
    """Addresses that joined before then and left."""
    return _not_held(WaitlistEntry.objects.filter(state=WaitlistEntry.State.LEFT, created_at__lt=before))


def prune_ended(before: dt.datetime) -> int:
    """Used and expired invitations."""
    return _forget_entries(ended(before))


def ended(before: dt.datetime) -> QuerySet[WaitlistEntry]:
    """Invitations used or over before then; one of an odd form by when its address joined."""
    states = [WaitlistEntry.State.SERVED, WaitlistEntry.State.INVITED]
    found = _not_held(WaitlistEntry.objects.filter(state__in=states))
    return found.filter(Q(invited_until__lt=before) | Q(invited_until=None, created_at__lt=before))


def entries_of(profile: UserProfile) -> QuerySet[WaitlistEntry]:
    """All entries of one person."""
    return WaitlistEntry.objects.filter(Q(profile=profile) | Q(email__iexact=profile.email))


def _not_held(entries: QuerySet[WaitlistEntry]) -> QuerySet[WaitlistEntry]:
    return entries.exclude(profile__in=legal_holds.held_profiles())


def _forget_entries(entries: QuerySet[WaitlistEntry]) -> int:
    for one in entries.values_list("pk", flat=True):
        keys = [Q(key__startswith=f"{template}:{one}:") for template in EMAILS]
        Notification.objects.filter(reduce(or_, keys)).delete()
    return retention.delete_in_batches(entries)
