"""Saved views: a question that a list answers, under a name. The filter, the tab and the first page's number share one definition."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import IntegerField, QuerySet, Subquery

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


class CountUpTo(Subquery):
    """SQL: how many rows a queryset has, counted up to `limit`."""

    template = "(SELECT count(*) FROM (%(subquery)s) AS counted)"
    output_field = IntegerField()

    def __init__(self, rows: QuerySet[Any], limit: int) -> None:
        super().__init__(rows.order_by().values("pk")[:limit])
