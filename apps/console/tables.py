"""A table of the subscriber's page: headings, rows, and what is said above them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from apps.accounts.models import UserProfile

type May = Callable[[str], bool]


@dataclass(frozen=True)
class Table:
    """A list of rows with their headings, and where there are more. Above it: `facts`, each with its name, and `actions`, links."""

    headings: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    empty: str
    more: str = ""
    facts: tuple[tuple[str, Any], ...] = ()
    actions: tuple[Any, ...] = ()


@dataclass(frozen=True)
class TableTab:
    """One tab of the page: what its rows are, and its table; `may` says which rights the reader has."""

    key: str
    title: str
    sources: Callable[[UserProfile], list[QuerySet[Any]]]
    read: Callable[[UserProfile, May], Table]
