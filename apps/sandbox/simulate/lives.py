"""The people of a simulation: who they are, what has happened to them, and what comes next, all from the seed."""

import datetime as dt
import random
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from apps.sandbox.simulate.expected import StaffAct

Obj = dict[str, Any]


@dataclass
class Life:
    """One person. `story`: each act with its moment; `staff`: what counts of it for the policy, as a plain list."""

    number: int
    name: str
    begins: int  # the day
    story: list[tuple[int, str]] = field(default_factory=list)
    staff: list[StaffAct] = field(default_factory=list)
    profile: int = 0
    customer: str = ""
    debit: str = ""  # a bank account pays: "pays" or "fails" says what the bank will answer
    dispute: str = ""
    deleted: bool = False
    places: dict[str, str] = field(default_factory=dict)  # app to instance, as first seen or as staff moved the seat
    scripted: int = 0  # how many of its first acts it has begun

    def tell(self, moment: int, what: str) -> None:
        self.story.append((moment, what))

    def lines(self) -> list[str]:
        """The story for people."""
        return [f"{dt.datetime.fromtimestamp(moment, tz=dt.UTC):%Y-%m-%d %H:%M}  {what}" for moment, what in self.story]

    def in_force(self, kind: str, now: int) -> bool:
        return any(act.kind == kind and act.at <= now and (not act.until or now < act.until) for act in self.staff)

    def end(self, kind: str, now: int) -> None:
        """What staff end now."""
        self.staff = [
            StaffAct(act.kind, act.at, now, act.gives)
            if act.kind == kind and (act.until is None or act.until > now)
            else act
            for act in self.staff
        ]

    def as_json(self) -> Obj:
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Obj) -> Self:
        staff = [StaffAct(**act | {"gives": tuple(act["gives"])}) for act in kept["staff"]]
        return cls(**kept | {"staff": staff, "story": [(moment, what) for moment, what in kept["story"]]})


def chance(seed: int, *about: object) -> random.Random:
    """The dice for one thing, the same each time whatever else has been thrown."""
    return random.Random(":".join(map(str, (seed, *about))))  # noqa: S311  (a simulation)


def people(seed: int, count: int, days: int) -> list[Life]:
    """So many lives; most begin in the first weeks, and some throughout."""
    found = []
    for number in range(count):
        dice = chance(seed, "life", number)
        first = dice.randrange(max(1, min(days // 3, 25))) if dice.random() < 0.8 else dice.randrange(max(1, days // 2))
        found.append(Life(number, f"sim{seed}x{number}", first))
    return found
