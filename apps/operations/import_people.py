"""Whom a row of an import makes: everything that is written, the seats as found, and what a grant would give. Asks nobody."""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from apps.access.policy import Account, Decision, Facts
from apps.billing import adopting
from apps.core.dates import last_day
from apps.operations.import_surroundings import Place
from apps.operations.models import ImportRow


@dataclass(frozen=True)
class NewPerson:
    """Whom a row makes: everything that is written."""

    email: str
    username: str
    first_name: str
    last_name: str
    language: str
    keycloak_id: str
    customer_id: str
    subscriptions: tuple[adopting.Kept, ...]
    granted: tuple[int, ...]
    until: dt.datetime | None
    seats: Mapping[str, str]
    facts: Facts
    decision: Decision

    @property
    def has_seats(self) -> bool:
        """Whether what they occupy is theirs by the first decision, in use or waiting for them."""
        return self.decision.state.has_access or self.decision.state.retains_seats


def read_seats(row: ImportRow, places: Mapping[str, Place]) -> dict[str, str]:
    """Product to instance: as the file says, and as the account's attributes do. `places`: every instance, by slug."""
    found = dict(row.seats)
    for slug, place in places.items():
        if row.account.get("attributes", {}).get(f"{place.product}_instance") == slug:
            found.setdefault(place.product, slug)
    return {product: slug for product, slug in found.items() if slug in places}


def list_grantable(row: ImportRow, places: Mapping[str, Place], products: Collection[str]) -> list[str]:
    """The slugs of what a grant would give: the products of the file, and those of the seats as found."""
    return sorted({*row.products, *read_seats(row, places)} & {*products})


def describe(person: NewPerson, account: Mapping[str, Any]) -> str:
    """What is imported, as a sentence."""
    parts = [
        "the account that is there"
        if account
        else "a new account"
        if person.decision.account == Account.ENABLED
        else "no account",
        f"customer {person.customer_id}" if person.customer_id else "",
        f"a grant until {last_day(person.until)}" if person.until else "",
        *(f"a seat on {instance}" for _, instance in sorted(person.seats.items())),
    ]
    return f"{person.decision.state.label}, with {', '.join(one for one in parts if one)}."
