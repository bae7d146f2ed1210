"""The one ModelAdmin of the console: read-only, bounded, and quick on a table of a million rows.

What keeps it quick: no full count, a count that stops, newest first by the key, joined rows named, filters on columns with
choices only, and a search that recognizes the term first and then uses one index.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, override

from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from apps.console import search

COUNT_LIMIT = 10_000


class BoundedPaginator(Paginator[Any]):
    """Counts up to COUNT_LIMIT rows and offers no page beyond: to find older rows, search or filter."""

    @cached_property
    @override
    def count(self) -> int:
        """Rows, at most COUNT_LIMIT."""
        rows = self.object_list
        if isinstance(rows, QuerySet):
            return int(rows.order_by()[:COUNT_LIMIT].count())
        return len(rows)


class ConsoleList(ChangeList):  # type: ignore[misc]
    """A list that says how many rows were found only when something was looked for."""

    @override
    def get_results(self, request: HttpRequest) -> None:
        """The page's rows; without a search or filter, what is counted is all there is."""
        super().get_results(request)
        if not self.query and not self.has_active_filters:
            self.full_result_count = self.result_count


def _asks(codename: str) -> Any:
    """The method Unfold calls for `permissions=["<codename>"]`."""

    def asks(_self: Any, request: HttpRequest, _object_id: str | None = None) -> bool:
        return bool(request.user.has_perm(f"accounts.{codename}"))

    return asks


class ConsoleAdmin(ModelAdmin):  # type: ignore[misc]
    """Base of every page. Subclasses say what is shown; what may be done is Unfold actions with a dialog."""

    actions: ClassVar[Any] = ()
    show_full_result_count = False
    paginator = BoundedPaginator
    list_per_page = 50
    list_max_show_all = 0
    list_fullwidth = True
    list_select_related: ClassVar[Any] = False
    ordering: ClassVar[Any] = ("-pk",)
    view_on_site = False
    warn_unsaved_form = True
    # What a term may be (see search.kind_of) and the look-up that finds it here; empty: no search box.
    search_by: ClassVar[Mapping[str, str]] = {}

    has_sync_userprofile_permission = _asks("sync_userprofile")
    has_mail_userprofile_permission = _asks("mail_userprofile")
    has_allocate_seat_permission = _asks("allocate_seat")
    has_override_access_permission = _asks("override_access")
    has_recover_accounts_permission = _asks("recover_accounts")
    has_retry_job_permission = _asks("retry_job")
    has_change_catalog_permission = _asks("change_catalog")
    has_change_capacity_permission = _asks("change_capacity")
    has_approve_revocations_permission = _asks("approve_revocations")

    @override
    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nothing is made by hand unless a page says so."""
        return False

    @override
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is edited by hand unless a page says so."""
        return False

    @override
    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is ever deleted here."""
        return False

    @override
    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Our list."""
        return ConsoleList

    @override
    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """Non-empty where there is something to search by; only then does Django show the box."""
        return ("pk",) if self.search_by else ()

    @override
    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """The rows the term names, by one index."""
        term = search_term.strip()
        if not term or not self.search_by:
            return queryset, False
        return search.narrow(queryset, term, self.search_by), False

    def page_of(self, target: Model | None) -> str:
        """The address of a row's page, or of the list."""
        meta = self.model._meta
        if target is None:
            return reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
        return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[target.pk])
