"""Where seats could go: all of an instance that is emptied, or some of a product to even out the load. Only arithmetic.

Promises: no instance is planned above its hard cap; the least loaded comes first, one above its allocation cap only when all are;
evening out never loads an instance more than the one that gives.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction


@dataclass
class PlannedRoom:
    """An instance as the plan would leave it. `is_open`: it may get seats."""

    id: int
    name: str
    taken: int
    allocation_cap: int
    hard_cap: int
    is_open: bool

    @property
    def load(self) -> Fraction:
        return Fraction(self.taken, self.allocation_cap)

    @property
    def load_with_one_more(self) -> Fraction:
        return Fraction(self.taken + 1, self.allocation_cap)

    @property
    def fill(self) -> str:
        return f"{self.taken} of {self.allocation_cap} taken"


@dataclass(frozen=True)
class Placement:
    """Where one seat goes, and why there; `target` is None when there is no room."""

    seat_id: int
    source_id: int
    target_id: int | None
    why: str


def find_room(rooms: Collection[PlannedRoom]) -> PlannedRoom | None:
    """The least loaded open instance with room; above the allocation caps only when all are."""
    found = [one for one in rooms if one.is_open and one.taken < one.hard_cap]
    return min(found, key=lambda one: (one.taken >= one.allocation_cap, one.load, one.id), default=None)


def empty_out(source_id: int, seat_ids: Sequence[int], rooms: Collection[PlannedRoom]) -> list[Placement]:
    """A place for each seat of an instance; counts them in `rooms`."""
    others, found = [one for one in rooms if one.id != source_id], []
    for seat_id in seat_ids:
        if room := find_room(others):
            above = " It goes above its allocation cap." if room.taken >= room.allocation_cap else ""
            found.append(
                Placement(seat_id, source_id, room.id, f"{room.name} is the least loaded: {room.fill}.{above}")
            )
            room.taken += 1
        else:
            found.append(Placement(seat_id, source_id, None, describe_no_room(others)))
    return found


def describe_no_room(others: Collection[PlannedRoom]) -> str:
    """Why nothing takes another seat."""
    if names := [one.name for one in others if one.is_open]:
        return f"Every other open instance is at its hard cap: {', '.join(names[:5])}."
    return "There is no other instance that is open to new subscribers."


def even_out(rooms: Collection[PlannedRoom], seats: Mapping[int, Sequence[int]], *, most: int) -> list[Placement]:
    """Moves from the fullest to the emptiest until another one would not help; `seats`: who could go, by instance, first one first."""
    left = {pk: list(reversed(ids)) for pk, ids in seats.items()}
    found: list[Placement] = []
    while len(found) < most:
        givers = [one for one in rooms if left.get(one.id)]
        takers = [one for one in rooms if one.is_open and one.taken < one.allocation_cap]
        source = max(givers, key=lambda one: (one.load, -one.id), default=None)
        target = min(takers, key=lambda one: (one.load_with_one_more, one.id), default=None)
        if source is None or target is None or target.load_with_one_more >= source.load:
            break
        why = f"{source.name} has {source.fill}, {target.name} has {target.fill}."
        found.append(Placement(left[source.id].pop(), source.id, target.id, why))
        source.taken, target.taken = source.taken - 1, target.taken + 1
    return found
