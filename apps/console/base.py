"""The one ModelAdmin of the console: read-only, bounded, quick on a table of a million rows, and mostly data.

What keeps it quick: no full count, a count that stops, newest first by the key, joined rows named, filters on columns with
choices only, and a search that recognizes the term first and then uses one index.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, override

from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import FieldDoesNotExist, PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from apps.console import fresh_logins, search
from apps.console.dialogs import find
from apps.console.filters import ViewFilter
from apps.console.saved_views import COUNT_LIMIT, PARAMETER, SavedView, find_view
from apps.console.site import takes_posts
from apps.core import audit
from apps.core.audit_actions import AuditAction
from apps.core.counting import CountUpTo
from apps.core.masking import is_masked, mask_of

PERMISSIONS = (
    "sync_userprofile", "mail_userprofile", "allocate_seat", "override_access", "recover_accounts", "extend_grace", "write_note", "retry_job",
    "export_userprofile", "import_customers", "change_catalog", "change_capacity", "change_terms", "approve_revocations", "freeze_access",
    "retry_payment", "schedule_cancellation", "refund_payment", "cancel_subscription", "pause_collection", "refund_large_payment",
    "record_privacy_request", "export_person", "erase_person", "set_legal_hold",
    "manage_api_keys",
)  # fmt: skip


class BoundedPaginator(Paginator[Any]):
    """Counts up to COUNT_LIMIT rows and offers no page beyond: to find older rows, search or filter."""

    @cached_property
    @override
    def count(self) -> int:
        """Rows, at most COUNT_LIMIT."""
        rows = self.object_list
        return int(rows.order_by()[:COUNT_LIMIT].count()) if isinstance(rows, QuerySet) else len(rows)


class ConsoleList(ChangeList):  # type: ignore[misc]
    """A list of one query, with no page beyond COUNT_LIMIT rows."""

    @override
    def get_results(self, request: HttpRequest) -> None:
        """The page's rows and how many there are, in one query; without a search or filter, that is all there is."""
        start, size = (self.page_num - 1) * self.list_per_page, self.list_per_page
        if not 0 <= start < COUNT_LIMIT:
            raise IncorrectLookupParameters
        found = self.queryset.annotate(console_count=CountUpTo(self.queryset, COUNT_LIMIT))
        self.result_list = list(found[start : start + size])
        if start and not self.result_list:
            raise IncorrectLookupParameters
        self.result_count = self.result_list[0].console_count if self.result_list else 0
        self.full_result_count = None if self.query or self.has_active_filters else self.result_count
        self.paginator = Paginator(range(self.result_count), size)
        self.multi_page, self.can_show_all = self.result_count > size, False
        self.show_admin_actions, self.show_full_result_count = True, False
        if is_masked() and {"people", "email"} & {*getattr(self.model_admin, "search_by", ())}:
            self.search_help_text = "A whole username or address, or any id"

    @override
    def get_ordering_field(self, field_name: Any) -> Any:
        """Also an address typed by hand sorts by no column whose heading does not."""
        offered = field_name in self.sortable_by or field_name not in self.list_display
        return super().get_ordering_field(field_name) if offered else None

    @override
    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[str]:
        """By a heading, rows of one value come in the order in which the index has them, read forwards or backwards."""
        found: list[str] = super().get_ordering(request, queryset)
        index = sorting_index(self.model, found[0]) if "o" in self.params and {*found[1:]} == {"-pk"} else ()
        if len(index) < 2:
            return found
        same = index[0].startswith("-") == index[1].startswith("-")
        return [found[0], "-pk" if found[0].startswith("-") == same else "pk"]


def sorting_index(model: Any, path: str) -> tuple[str, ...]:
    """The fields of the index that sorting by this one reads, instead of the table; empty: there is none."""
    *joins, name = path.removeprefix("-").split("__")
    for join in joins:
        model = model._meta.get_field(join).related_model
    if name == "pk" or model._meta.get_field(name).unique or model._meta.get_field(name).db_index:
        return (name,)
    for index in model._meta.indexes:
        first, *more = index.fields or [""]
        if first.removeprefix("-") == name and not index.condition and (not more or more[0].removeprefix("-") == "id"):
            return tuple(index.fields)
    return ()


class ConsoleAdmin(ModelAdmin):  # type: ignore[misc]
    """Base of every page. Subclasses say what is shown; what may be done is Unfold actions with a dialog."""

    actions: ClassVar[Any] = ()
    show_full_result_count = False
    list_per_page = 50
    list_max_show_all = 0
    list_fullwidth = True
    list_select_related: ClassVar[Any] = False
    ordering: ClassVar[Any] = ("-pk",)
    view_on_site = False
    warn_unsaved_form = True
    changelist_class: ClassVar[type[ChangeList]] = ConsoleList
    # What a term may be (see search.kind_of) and the look-up that finds it here; empty: no search box.
    search_by: ClassVar[Mapping[str, str]] = {}
    # So few rows that any column may be sorted by; else those with an index.
    few: ClassVar[bool] = False
    # A column with choices and those of its values that have a tab above the list.
    tabs: ClassVar[tuple[str, tuple[Any, ...]] | None] = None
    # Questions that are more than one column; each is a choice of a filter, and most are tabs too.
    views: ClassVar[tuple[SavedView, ...]] = ()
    # Where the list opens on less than all: on which of the views, and what the address of the tab "All" has.
    opens_on: ClassVar[str] = ""
    all_rows: ClassVar[Mapping[str, str]] = {}
    # Columns that are read only when a page shows them, and related rows that lists show.
    deferred: ClassVar[tuple[str, ...]] = ()
    prefetched: ClassVar[tuple[Any, ...]] = ()
    # Parts of a row's page that are loaded separately: the last part of the address, and the method(request, row).
    fragments: ClassVar[Mapping[str, str]] = {}
    # What the audit log calls a row that holds personal data and belongs to no subscriber.
    personal: ClassVar[str] = ""

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
    def get_list_filter(self, request: HttpRequest | None) -> Any:
        return (*super().get_list_filter(request), *([ViewFilter] if self.views else []))

    @override
    def get_ordering(self, request: HttpRequest) -> Any:
        view = find_view(self.views, request.GET.get(PARAMETER))
        return view.order if view and view.order else super().get_ordering(request)

    @override
    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return self.changelist_class

    @override
    def get_sortable_by(self, request: HttpRequest) -> list[str]:
        """The columns by which a million rows are sorted as quickly as ten; not by what is masked, which the order would tell."""
        shown = self.get_list_display(request)
        fields = {one: getattr(getattr(self, str(one), None), "admin_order_field", None) or one for one in shown}
        open_to_all = {
            one: field for one, field in fields.items() if not (is_masked() and mask_of(self.model, str(field)))
        }
        return [one for one, field in open_to_all.items() if self.few or self._is_sorted(str(field))]

    def _is_sorted(self, path: str) -> bool:
        try:
            return bool(sorting_index(self.model, path))
        except FieldDoesNotExist:  # a column that is computed
            return False

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The rows without the deferred columns, with the related ones."""
        return super().get_queryset(request).defer(*self.deferred).prefetch_related(*self.prefetched)  # type: ignore[no-any-return]

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

    @override
    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Only what a declared filter sends. Django lets any column of the table be asked: hidden ones, letter by letter."""
        for one in self.get_list_filter(request):
            if isinstance(one, type):
                names = {getattr(one, "parameter_name", "")}
            else:
                path = one if isinstance(one, str) else one[0]
                exact = f"{path}__id__exact" if self.opts.get_field(path).is_relation else f"{path}__exact"
                names = {exact, f"{path}__isnull"}
            if lookup in names:
                return True
        return False

    def list_context(self, _request: HttpRequest) -> dict[str, Any]:
        """What the templates around the list need."""
        return {}

    def page_context(self, _request: HttpRequest, _row: Any) -> dict[str, Any]:
        """What the templates around a row's page need. Only for those who may see the row."""
        return {}

    @override
    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """For those who may see it. Django's looks for the row first, and so tells all staff whether there is one."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        answer: HttpResponse = super().history_view(request, object_id, extra_context)
        return answer

    @override
    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        extra = self.list_context(request) if self.has_view_permission(request) else {}
        answer: HttpResponse = super().changelist_view(request, (extra_context or {}) | extra)
        return answer

    @override
    @takes_posts
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        return self.changeform_view(request, None, form_url, extra_context)

    @override
    @takes_posts
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        return self.changeform_view(request, object_id, form_url, extra_context)

    @override
    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id) if object_id else None
        saves = self.has_change_permission(request, row) if object_id else self.has_add_permission(request)
        if saves and request.method == "POST" and (refused := fresh_logins.refuse_stale(request)):
            return refused
        extra = {}
        if row is not None and self.has_view_permission(request, row):
            extra = self.page_context(request, row)
            self.record_view(request, row)
        answer: HttpResponse = super().changeform_view(request, object_id, form_url, (extra_context or {}) | extra)
        return answer

    @override
    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        fresh_logins.fill_in(context["adminform"].form, request)
        return super().render_change_form(request, context, *args, **kwargs)

    @override
    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The row of a page, read once for each request."""
        read = request.__dict__.setdefault("console_rows", {})
        key = (self.model, str(object_id), from_field)
        if key not in read:
            read[key] = super().get_object(request, str(object_id), from_field)
        return read[key]

    @override
    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        """Without the actions that would do nothing to this row."""
        row = self.get_object(request, str(object_id))
        found = super().get_actions_detail(request, object_id) if row is not None else []
        return [one for one in found if not self.refusal_of(one.action_name, row)]

    def refusal_of(self, action_name: str, row: Any) -> str:
        """Why an action cannot be done to this row, as its `refuse` says."""
        prefix = f"{self.opts.app_label}_{self.opts.model_name}_"
        refuse = getattr(getattr(self, action_name.removeprefix(prefix)), "refuse", None)
        return str(refuse(row)) if refuse else ""

    @override
    def get_custom_urls(self) -> Any:
        prefix = f"{self.opts.app_label}_{self.opts.model_name}"
        return tuple(
            (f"<path:object_id>/{name}/", f"{prefix}_{name.replace('-', '_')}", self._fragment_view(getattr(self, method)))
            for name, method in self.fragments.items()
        )  # fmt: skip

    def _fragment_view(self, content: Callable[[HttpRequest, Any], HttpResponse]) -> Any:
        def view(request: HttpRequest, object_id: str, **_given: Any) -> HttpResponse:
            if not self.has_view_permission(request):
                raise PermissionDenied
            row = find(self.get_queryset(request), object_id)
            self.record_view(request, row)
            return content(request, row)

        return view

    def record_view(self, request: HttpRequest, row: Any) -> None:
        """Whose personal data somebody has read: one line for each of staff, person and hour."""
        profile = getattr(row, "profile_id", None)
        subject = ("profile", profile) if profile else (self.personal, row.pk)
        if subject[0]:
            actor = f"staff:{request.user.get_username()}"
            audit.record_hourly(subject=subject, action=AuditAction.PERSON_VIEWED, actor=actor)

    def page_of(self, target: Model | None) -> str:
        """The address of a row's page, or of the list."""
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}"
        return reverse(f"{name}_changelist") if target is None else reverse(f"{name}_change", args=[target.pk])


def _asks(codename: str) -> Any:
    """The method Unfold calls for `permissions=["<codename>"]`."""

    def asks(_self: Any, request: HttpRequest, _object_id: str | None = None) -> bool:
        return bool(request.user.has_perm(f"accounts.{codename}"))

    return asks


for codename in PERMISSIONS:
    setattr(ConsoleAdmin, f"has_{codename}_permission", _asks(codename))
