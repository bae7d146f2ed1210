"""Who would lose access by a look now: what the mass guard counts before a sweep asks for looks. No Keycloak, no change."""

from collections import defaultdict
from collections.abc import Collection

from apps.access import many, reconcile
from apps.access.policy import Decision
from apps.accounts import mass
from apps.accounts.models import UserProfile
from apps.core import clock
from apps.instances.models import Seat


def losing(profile_ids: Collection[int]) -> list[int]:
    """Those of them who have access by the last look, or a seat, and would have it no more. Fourteen queries.

    Not counted: whose own date has come, and whose look is asked for already. They lose it by that, not by a sweep.
    """
    people = UserProfile.objects.filter(pk__in=profile_ids, access_state__in=mass.HAS_ACCESS)
    people = people.exclude(access_until__lte=clock.now()).exclude(pk__in=_looked_at_anyway(profile_ids))
    found = sorted(people.values_list("pk", flat=True))
    if not found:
        return []
    seats = _seats(found)
    decided = many.decisions(UserProfile.objects.filter(pk__in=found))
    return [pk for pk in found if _loses(decided[pk], seats[pk])]


def _looked_at_anyway(profile_ids: Collection[int]) -> list[int]:
    waiting = UserProfile.objects.filter(pk__in=profile_ids, pending_since__isnull=False).values_list("pk", flat=True)
    looks = reconcile.under_way().filter(key__in=[str(pk) for pk in waiting])
    return [int(key) for key in looks.values_list("key", flat=True)]


def _seats(profile_ids: Collection[int]) -> dict[int, set[str]]:
    """The products each has an assigned seat of."""
    seats: dict[int, set[str]] = defaultdict(set)
    rows = Seat.objects.filter(profile__in=profile_ids, state=Seat.State.ASSIGNED)
    for pk, slug in rows.values_list("profile_id", "product__slug"):
        seats[pk].add(slug)
    return seats


def _loses(decision: Decision, seats: set[str]) -> bool:
    return decision.state not in mass.HAS_ACCESS or bool(seats - decision.entitlements.seats)
