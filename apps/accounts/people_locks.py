"""The one order in which the rows of several people are locked: all of them at once, by their ids, before anything else of theirs.

Ending a membership changes two people, and erasing somebody ends all of theirs: a transaction that holds one person's row and then
asks for another one's may wait for a transaction that waits for it. So each asks for all it needs at its beginning.
"""

from contextlib import suppress

from django.db import transaction

from apps.accounts.models import Membership, UserProfile
from apps.core.errors import RetryLater

TRIES = 10


class _Joined(Exception):
    """Somebody has joined between reading who belongs together and locking them."""


def lock_people(*profile_ids: int | None) -> None:
    """Lock the rows of these until the caller's transaction ends."""
    wanted = UserProfile.objects.filter(pk__in=[one for one in profile_ids if one])
    list(wanted.select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True))


def lock_shared(profile_id: int) -> None:
    """Lock somebody, who pays for them, and for whom they pay. Raises RetryLater while people keep joining them."""
    for _ in range(TRIES):
        people = _read_shared(profile_id)
        with suppress(_Joined), transaction.atomic():  # a savepoint that is taken back gives back its locks
            lock_people(*people)
            if not _read_shared(profile_id) <= people:
                raise _Joined
            return
    raise RetryLater("People keep joining this subscription.")


def _read_shared(profile_id: int) -> set[int]:
    """Nobody joins or leaves them while their row is locked."""
    mine = Membership.objects.filter(ended_at=None)
    pays = mine.filter(payer=profile_id, member__isnull=False).values_list("member", flat=True)
    payers = mine.filter(member=profile_id).values_list("payer", flat=True)
    return {profile_id, *(one for one in pays.union(payers) if one)}
