"""Paid items -> entitlements, as arithmetic. Pure: no Django, no I/O.

Entitlements add up: over items, over quantities, over subscriptions. The same app twice is the same app; numbers sum.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self


@dataclass(frozen=True)
class Entitlements:
    """What somebody may use: apps by slug, those of them that need a seat, and numeric grants (`storage_gb` -> 600).

    `people`: for how many people it is, the buyer included; 0: for the buyer alone.
    """

    apps: frozenset[str] = frozenset()
    seats: frozenset[str] = frozenset()
    grants: Mapping[str, int] = field(default_factory=dict)
    people: int = 0

    def __add__(self, other: Self) -> "Entitlements":
        names = sorted({*self.grants, *other.grants})
        sums = {name: self.grants.get(name, 0) + other.grants.get(name, 0) for name in names}
        return Entitlements(self.apps | other.apps, self.seats | other.seats, sums, self.people + other.people)

    def times(self, quantity: int) -> "Entitlements":
        """For `quantity` of the same item: apps stay, numbers multiply; nothing for none.

        Of what is for several people, more are for more people: each of them has the numbers of one.
        """
        if quantity <= 0:
            return NOTHING
        if self.people:
            return replace(self, people=self.people * quantity)
        return Entitlements(self.apps, self.seats, {name: amount * quantity for name, amount in self.grants.items()})

    def attributes(self, instances: Mapping[str, str]) -> dict[str, str]:
        """As Keycloak user attributes; `instances` maps an app to its instance's slug.

        An app that needs a seat and has none yet is left out, so that nobody is sent to an instance that does not exist.
        """
        found = {name: str(amount) for name, amount in self.grants.items() if amount}
        for app in sorted(self.apps):
            if app in instances:
                found[f"{app}_instance"] = instances[app]
            if app in instances or app not in self.seats:
                found[f"has_{app}"] = "true"
        return found


NOTHING = Entitlements()
UNITS = ("kb", "mb", "gb", "tb")  # where the name of a number ends with one, people read the number with it


def describe_number(name: str, amount: int) -> str:
    """A numeric grant as people read it: Storage 200 GB, Mailboxes 5."""
    return " ".join(split_number(name, amount))


def split_number(name: str, amount: int) -> tuple[str, str]:
    """The same in two parts: what is counted, and how much of it."""
    words = name.split("_")
    unit = f" {words.pop().upper()}" if len(words) > 1 and words[-1] in UNITS else ""
    return " ".join(words).strip().capitalize(), f"{amount:,}{unit}"


def bytes_granted(name: str, amount: int) -> int | None:
    """A numeric grant as bytes, by the unit that its name ends with (1 KB is 1,024 bytes); None: it counts something else."""
    unit = name.rpartition("_")[2]
    return amount * 1024 ** (UNITS.index(unit) + 1) if "_" in name and unit in UNITS else None


def split_bytes(amount: int) -> tuple[float, str]:
    """How people read a number of bytes: at most one decimal, in the largest unit of which there is at least one."""
    number, power = float(amount), 0
    while round(number, 1) >= 1024 and power < len(UNITS):
        number, power = number / 1024, power + 1
    return round(number, 1), ("bytes", *(unit.upper() for unit in UNITS))[power]


def describe_bytes(amount: int) -> str:
    """The same as one text: 500 GB, 1.5 TB."""
    number, unit = split_bytes(amount)
    return f"{number:,.1f}".removesuffix(".0") + f" {unit}"


def total(parts: Iterable[Entitlements]) -> Entitlements:
    """The sum; nothing for an empty sequence."""
    result = NOTHING
    for part in parts:
        result = result + part
    return result


def attribute_names(everything: Entitlements) -> frozenset[str]:
    """All attribute names we could ever write for the given whole catalog; others' attributes are not ours."""
    apps = {f"has_{app}" for app in everything.apps} | {f"{app}_instance" for app in everything.apps}
    return frozenset(apps | set(everything.grants))
