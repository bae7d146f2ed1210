"""What is left of an erased person's name, and how rows about people go: an app beside operations names its own here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from apps.accounts.models import UserProfile

NOBODY = "@erased.invalid"  # ends the address of everybody who was erased


def is_erased(profile: UserProfile) -> bool:
    """Whether nothing is left of them but numbers."""
    return profile.email.endswith(NOBODY)


@dataclass(frozen=True)
class PersonRows:
    """The rows of one kind about a person, for the preview; and their deletion, which returns how many went."""

    find: Callable[[UserProfile], QuerySet[Any]]
    delete: Callable[[UserProfile], int]


ERASERS: dict[str, PersonRows] = {}  # by the words of the receipt
