"""Filters of lists: those that begin with what needs somebody, and those by product or instance."""

from typing import Any, ClassVar, override

from django.contrib import admin
from django.http import HttpRequest
from unfold.contrib.filters.admin import RelatedDropdownFilter

from apps.console.dashboard import COUNTED


class DefaultedFilter(admin.SimpleListFilter):
    """A filter whose first option holds unless another is chosen; without Django's own "All"."""

    title = "status"
    parameter_name = "is"
    options: ClassVar[tuple[tuple[str, str], ...]] = ()

    @property
    def chosen(self) -> str:
        value = self.value()
        return value if value in dict(self.options) else self.options[0][0]

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(self.options)

    @override
    def choices(self, changelist: Any) -> Any:
        for key, label in self.lookup_choices:
            query = changelist.get_query_string({self.parameter_name: key})
            yield {"selected": self.chosen == key, "query_string": query, "display": label}


class NameFilter(RelatedDropdownFilter):  # type: ignore[misc]
    """By product or instance; the names come with the menu's counts."""

    @override
    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = getattr(COUNTED.get(), f"{field.name}s_by_name")
        return [(pk, name) for pk, name in found]
