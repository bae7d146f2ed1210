"""Who would lose access, or the place kept for them, by a look now: what the mass guard counts before a sweep asks for looks.

By the pure decision over our rows: no Keycloak, no change.
"""

from collections import defaultdict
from collections.abc import Collection

from apps.access import reconcile
from apps.access.policy import Decision, SeatWish
from apps.accounts.models import UserProfile
from apps.core import clock
from apps.core.states import AccessState
from apps.instances.models import Seat
from apps.operations import bulk_facts, safeguard

KEPT_A_PLACE = (AccessState.CANCELED.value, AccessState.RECOVERING.value)


def losing(profile_ids: Collection[int]) -> list[int]:
    """Those of them who have access by the last look, or a seat, and would have it no more. Fifteen queries.

    Not counted: whose own date has come, and whose look is asked for already. They lose it by that, not by a sweep.
    """
    people = UserProfile.objects.filter(pk__in=profile_ids, access_state__in=(*safeguard.HAS_ACCESS, *KEPT_A_PLACE))
    people = people.exclude(access_until__lte=clock.now()).exclude(pk__in=_looked_at_anyway(profile_ids))
    found = dict(people.order_by("pk").values_list("pk", "access_state"))
    if not found:
        return []
    seats = _seats(found)
    decided = bulk_facts.decisions(UserProfile.objects.filter(pk__in=list(found)))
    return [pk for pk, state in found.items() if _loses(state, decided[pk], seats[pk])]


def _looked_at_anyway(profile_ids: Collection[int]) -> list[int]:
    waiting = UserProfile.objects.filter(pk__in=profile_ids, pending_since__isnull=False).values_list("pk", flat=True)
    looks = reconcile.under_way().filter(key__in=[str(pk) for pk in waiting])
    return [int(key) for key in looks.values_list("key", flat=True)]


def _seats(profile_ids: Collection[int]) -> dict[int, set[str]]:
    """The products each has a seat of, used or kept."""
    seats: dict[int, set[str]] = defaultdict(set)
    rows = Seat.objects.filter(profile__in=list(profile_ids), state__in=[Seat.State.ASSIGNED, Seat.State.RETAINED])
    for pk, slug in rows.values_list("profile_id", "product__slug"):
        seats[pk].add(slug)
    return seats


def _loses(state: str, decision: Decision, seats: set[str]) -> bool:
    """Of one person who is in `state` by the last look."""
    if state in KEPT_A_PLACE:
        return bool(seats) and decision.seats == SeatWish.RELEASED
    return decision.state not in safeguard.HAS_ACCESS or bool(seats - decision.entitlements.seats)
