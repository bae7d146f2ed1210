"""Filters of lists: those that begin with what needs somebody, and those by product, instance or a question of a list's own."""

import datetime as dt
import re
from abc import ABC, abstractmethod
from typing import Any, ClassVar, override

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import DropdownFilter, RelatedDropdownFilter

from apps.console.menu_counts import COUNTED
from apps.console.problems import narrow_emails, narrow_jobs, narrow_people
from apps.console.saved_views import PARAMETER, SavedView
from apps.core import clock

DAYS = 14  # that can be chosen one by one
PROBLEM = re.compile("[a-z]{1,12}:[a-z0-9_]{1,64}")


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

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        """Also those of no product; Unfold's shows all rows then, as if it were asked nothing."""
        if self.lookup_val_isnull and not self.value():
            return admin.RelatedFieldListFilter.queryset(self, request, queryset)
        found: QuerySet[Any] | None = super().queryset(request, queryset)
        return found


class DropdownOf(DropdownFilter, ABC):  # type: ignore[misc]
    """A choice of `options`; what is none of them is refused, so that a list never looks like an answer that it is not."""

    all_option: ClassVar[list[str]] = ["", "All"]
    options: ClassVar[Any] = ()

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(key), str(label)) for key, label in self.options]

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if not value:
            return queryset
        if value not in {key for key, _ in self.lookup_choices}:
            raise IncorrectLookupParameters
        return self.narrow(queryset, value)

    @abstractmethod
    def narrow(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        """The rows for which the choice holds."""


class ViewFilter(DropdownOf):
    """By one of the views that the list's page declares."""

    title = "view"
    parameter_name = PARAMETER

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        self.views: tuple[SavedView, ...] = model_admin.views
        return [(one.key, one.label) for one in self.views]

    @override
    def narrow(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        return next(one for one in self.views if one.key == value).narrow(rows)


class DayFilter(DropdownFilter, ABC):  # type: ignore[misc]
    """By the day (UTC) on which something happened; `field` says what."""

    title, parameter_name = "day", "day"
    field: ClassVar[str]

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        today = clock.now().date()
        days = [today - dt.timedelta(days=number) for number in range(DAYS)]
        return [(f"{one:%Y-%m-%d}", f"{one:%A} {one.day} {one:%B}") for one in days]

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        try:
            start = dt.datetime.strptime(self.value() or "", "%Y-%m-%d").replace(tzinfo=dt.UTC)
            end = start + dt.timedelta(days=1)
        except (ValueError, OverflowError) as error:  # everything would look like the answer
            raise IncorrectLookupParameters from error
        return queryset.filter(**{f"{self.field}__gte": start, f"{self.field}__lt": end})


class LinkedFilter(DropdownFilter, ABC):  # type: ignore[misc]
    """The rows of one thing, as its own page links here. Offers none to choose from. `pattern`: what may be asked."""

    pattern: ClassVar[re.Pattern[str]]

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        asked = str(self.used_parameters.get(self.parameter_name, ""))
        return [(asked, f"This {self.title}")] if asked else []

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        asked = self.value() or ""
        if not asked:
            return queryset
        if not self.pattern.fullmatch(asked):
            raise IncorrectLookupParameters
        return self.narrow(queryset, asked)

    @abstractmethod
    def narrow(self, rows: QuerySet[Any], name: str) -> QuerySet[Any]:
        """Those of the one of that name."""


class RowsOfOne(LinkedFilter, ABC):
    """The rows of one of another table, by its number; `parameter_name` is the column that names it."""

    pattern = re.compile("[1-9][0-9]{0,17}")

    @override
    def narrow(self, rows: QuerySet[Any], name: str) -> QuerySet[Any]:
        return rows.filter(**{self.parameter_name: int(name)})


class ProblemFilter(LinkedFilter, ABC):
    """The rows of a problem, as the inbox links here."""

    title, parameter_name = "problem", "problem"
    pattern = PROBLEM


class PeopleOfProblem(ProblemFilter):
    @override
    def narrow(self, rows: QuerySet[Any], name: str) -> QuerySet[Any]:
        return narrow_people(rows, name)


class JobsOfProblem(ProblemFilter):
    @override
    def narrow(self, rows: QuerySet[Any], name: str) -> QuerySet[Any]:
        return narrow_jobs(rows, name)


class EmailsOfProblem(ProblemFilter):
    @override
    def narrow(self, rows: QuerySet[Any], name: str) -> QuerySet[Any]:
        return narrow_emails(rows, name)
