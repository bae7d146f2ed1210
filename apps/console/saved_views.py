"""Saved views: a question that a list answers, under a name. The filter, the tab and the first page's number share one definition."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, override

from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import DropdownFilter

PARAMETER = "view"


@dataclass(frozen=True)
class SavedView:
    """The rows that a question is about. `order`: how they come, where that matters; `is_tab`: whether it has a tab above the list."""

    key: str
    label: str
    narrow: Callable[[QuerySet[Any]], QuerySet[Any]]
    order: tuple[str, ...] = ()
    is_tab: bool = True


def find_view(views: tuple[SavedView, ...], key: str | None) -> SavedView | None:
    return next((one for one in views if one.key == key), None)


class ViewFilter(DropdownFilter):  # type: ignore[misc]
    """By one of the views that the list's page declares."""

    title = "view"
    parameter_name = PARAMETER
    all_option: ClassVar[list[str]] = ["", "All"]

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        self.views: tuple[SavedView, ...] = model_admin.views
        return [(one.key, one.label) for one in self.views]

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        view = find_view(self.views, self.value())
        if view is None:  # everything would look like the answer
            raise IncorrectLookupParameters
        return view.narrow(queryset)
