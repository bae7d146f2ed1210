"""Saved views: a question that a list answers, under a name. The filter, the tab and the first page's number share one definition."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from apps.core.states import Tone

PARAMETER = "view"
COUNT_LIMIT = 10_000  # rows that are counted; what has more says so


@dataclass(frozen=True)
class SavedView:
    """The rows that a question is about. `order`: how they come, where that matters; `is_tab`: whether it has a tab above the list.

    `tone`: also a flag on each row that it holds for.
    """

    key: str
    label: str
    narrow: Callable[[QuerySet[Any]], QuerySet[Any]]
    order: tuple[str, ...] = ()
    is_tab: bool = True
    tone: Tone | None = None


def find_view(views: tuple[SavedView, ...], key: str | None) -> SavedView | None:
    return next((one for one in views if one.key == key), None)


def count_text(count: int) -> str:
    """A count for people; with a + where counting has stopped."""
    return f"{count:,}{'+' if count >= COUNT_LIMIT else ''}"
