"""The comparison: what each person should have by the independent reading, and what they have; every difference in words."""

from collections.abc import Mapping
from dataclasses import dataclass

from apps.sandbox.simulate.expected import DAY, Books, Expected, expect, may_have_lapsed, next_border
from apps.sandbox.simulate.lives import Life
from apps.sandbox.simulate.observed import Having, read_people
from apps.sandbox.simulate.world import TERMS, SimulatedWorld

NEAR_SECONDS = 90  # a border so close may lie before the reading and after the deciding
APART_SECONDS = 31 * DAY  # two comparisons at most


@dataclass(frozen=True)
class Difference:
    """What is wrong with one life; `row`: the row of the policy that should decide."""

    life: int
    row: int
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """`rows`: how many lives each row of the policy decided."""

    differences: tuple[Difference, ...]
    rows: Mapping[int, int]


def find_near_borders(world: SimulatedWorld, lives: list[Life], books: Mapping[str, Books]) -> set[int]:
    """The lives whose answer is about to change by itself, or just has."""
    now = world.now()
    return {
        one.number
        for one in lives
        if next_border(books.get(one.customer, Books()), one.staff, TERMS, now) < NEAR_SECONDS
    }


def compare(
    world: SimulatedWorld, lives: list[Life], books: Mapping[str, Books], before: dict[int, Having]
) -> Comparison:
    """Everybody who has begun and is near no border. `before`: what each had at the last comparison; it is brought up to date."""
    people, now, prices = read_people(world), world.now(), world.price_list()
    near = find_near_borders(world, lives, books)
    found, rows = [], dict.fromkeys(range(1, 10), 0)
    for life in lives:
        if not life.profile or life.number in near:
            continue
        own = books.get(life.customer, Books())
        wanted = expect(own, life.staff, prices, TERMS, now)
        rows[wanted.row] += 1
        has = people[life.profile]
        sentences = find_differences(wanted, has) + find_lost_seats(wanted, has, before.get(life.number))
        lapsed = may_have_lapsed(own, life.staff, TERMS, now - APART_SECONDS, now)
        sentences += find_wandered_seat(life, has, lapsed=lapsed)
        before[life.number] = has
        if sentences:
            found.append(Difference(life.number, wanted.row, tuple(sentences)))
    return Comparison(tuple(found), rows)


def find_differences(wanted: Expected, has: Having) -> list[str]:
    """Each difference between what should be and what is, as a sentence."""
    pairs: list[tuple[str, object, object]] = [("access", wanted.state, has.state)]
    if not (wanted.account == "none" and has.account in ("none", "closed")):
        pairs.append(("account", wanted.account, has.account if has.account != "none" else _no_account(wanted)))
    places = {app: instance for app, (state, instance) in has.seats.items() if state == "assigned"}
    due = {app: places.get(app, "a seat") for app in wanted.apps}
    attributes = {name: str(amount) for name, amount in wanted.numbers.items()}
    attributes |= {f"has_{app}": "true" for app in due} | {f"{app}_instance": place for app, place in due.items()}
    pairs += [
        ("attributes", _shown(attributes), _shown(has.attributes)),
        ("assigned seats", sorted(due), sorted(places)),
        ("groups in Keycloak", sorted(due.values()), sorted(has.groups)),
        ("groups here", sorted(due.values()), sorted(has.local)),
    ]
    retained = {app for app, (state, _) in has.seats.items() if state == "retained"}
    if not wanted.keeps:
        pairs.append(("kept seats", [], sorted(retained - wanted.kept_apps)))
    return [f"{name}: should be {should}, is {found}" for name, should, found in pairs if should != found]


def find_lost_seats(wanted: Expected, has: Having, before: Having | None) -> list[str]:
    """Each plan has Nextcloud: a seat there that somebody had, and may keep, is not lost."""
    if not (wanted.keeps or "nextcloud" in wanted.kept_apps) or wanted.lapsed:
        return []
    had = before.seats.get("nextcloud", ("", ""))[0] if before else ""
    if had in ("assigned", "retained") and "nextcloud" not in has.seats:
        return ["kept seats: should be the one on nextcloud, is none"]
    return []


def find_wandered_seat(life: Life, has: Having, *, lapsed: bool = False) -> list[str]:
    """A seat on Nextcloud, which each plan has, stays on its instance until staff move it, or it has `lapsed` in between.

    One that is only reserved goes back when nobody pays, so the next may be elsewhere.
    """
    state, instance = has.seats.get("nextcloud", ("", ""))
    if state == "reserved":
        return []
    if not instance or lapsed:
        life.places.pop("nextcloud", None)  # what comes after it is a new one
    if not instance:
        return []
    should = life.places.setdefault("nextcloud", instance)
    return [] if should == instance else [f"seat: should be on {should}, is on {instance}"]


def _no_account(wanted: Expected) -> str:
    """Somebody who never had access need not have a closed account."""
    return "closed" if wanted.account == "closed" else "none"


def _shown(attributes: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(attributes.items()))
