"""Filters of lists: those that begin with what needs somebody, and those by product or instance."""

from typing import Any, ClassVar, override

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import RelatedDropdownFilter

from apps.billing import overview
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


class FlagFilter(admin.SimpleListFilter):
    """Subscribers by what staff must know about their money."""

    title = "flags"
    parameter_name = "flags"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("disputed", "Payment disputed"), ("lost", "Dispute lost"), ("returned", "Money went back")]

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """By the customers of those few subscriptions."""
        customers = {
            "disputed": overview.with_dispute(lost=False),
            "lost": overview.with_dispute(lost=True),
            "returned": overview.with_money_returned(),
        }.get(self.value() or "")
        return queryset if customers is None else queryset.filter(stripe_customer_id__in=customers)
