"""The list of subscribers as a file for a spreadsheet: who may, why, how often and how many are checked, and it is in the timeline.

Promises: the file holds the rows that the list shows under the same search and filters, at most COUNT_LIMIT; no cell is taken for a
formula, whatever a person calls themselves; the timeline has who exported how many rows and why, and no name that was searched for.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from apps.access.upcoming import read_all
from apps.accounts.models import UserProfile
from apps.billing.overview import line_name
from apps.console.admin.subscriber_list import add_details
from apps.console.exports import ask_for_export, send_file
from apps.console.saved_views import COUNT_LIMIT
from apps.console.site import takes_posts
from apps.core.addresses import shown_email
from apps.core.money import decimals

CHUNK = 500
EXPORT = "admin:accounts_userprofile_export"
HEADINGS = (
    "Username", "First name", "Last name", "Email", "Access", "Subscription", "Per month", "Currency", "Pays for", "Seats", "Next date", "Next",
    "Flags", "Joined",
)  # fmt: skip


class ExportPage:
    """The page that asks why, and the file."""

    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        """Where the list is exported with the search and filters it has, for those who may."""
        page: Any = self
        address = f"{reverse(EXPORT)}?{request.GET.urlencode()}" if request.GET else reverse(EXPORT)
        return {"export": address if page.has_export_userprofile_permission(request) else ""}

    def get_custom_urls(self) -> Any:
        address = ("export/", EXPORT.removeprefix("admin:"), self.export_view)
        return (address, *super().get_custom_urls())  # type: ignore[misc]

    @takes_posts
    def export_view(self, request: HttpRequest, **_given: Any) -> HttpResponse:
        page: Any = self
        if not page.has_export_userprofile_permission(request):
            raise PermissionDenied
        try:
            rows = page.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            return HttpResponseRedirect(reverse("admin:accounts_userprofile_changelist"))
        return ask_for_export(request, lambda reason: export(request, rows, reason), lambda: describe(request, rows))


def describe(request: HttpRequest, rows: Any) -> dict[str, Any]:
    """What the page says about the file."""
    count = rows.order_by()[:COUNT_LIMIT].count()
    heading = (
        f"{count:,} subscriber{'' if count == 1 else 's'}"
        if count < COUNT_LIMIT
        else f"The first {COUNT_LIMIT:,} subscribers"
    )
    return {
        "title": "Export subscribers", "heading": heading, "headings": HEADINGS,
        "sentence": "A CSV file of the list with its search and filters, in its order. It holds personal data: keep it only as long as you need it.",
        "back": f"{reverse('admin:accounts_userprofile_changelist')}?{request.GET.urlencode()}", "back_to": "Back to the list",
    }  # fmt: skip


def export(request: HttpRequest, rows: Any, reason: str) -> HttpResponse:
    """The file, and the line about it."""
    asked = request.GET.copy()
    what = {"searched": bool(asked.pop("q", None)), "filters": urlencode(sorted(asked.items()))[:300]}
    return send_file(request, read_rows(rows), name="subscribers", headings=HEADINGS, reason=reason, what=what)


def read_rows(rows: Any) -> Iterator[tuple[str, ...]]:
    """The cells of each row, some hundred rows at a time."""
    ids = list(rows.values_list("pk", flat=True)[:COUNT_LIMIT])
    for start in range(0, len(ids), CHUNK):
        part = ids[start : start + CHUNK]
        found = {row.pk: row for row in UserProfile.objects.select_related("user").filter(pk__in=part)}
        people = [found[pk] for pk in part if pk in found]
        add_details(people)
        yield from map(_cells, people)


def _cells(row: Any) -> tuple[str, ...]:
    first = next(iter(read_all(row.forecast[:1])), None)
    places, amount = decimals(row.monthly_currency or "eur"), row.monthly_amount
    return (
        row.user.get_username(), row.user.first_name, row.user.last_name, shown_email(row.email), row.get_access_state_display(),
        row.get_subscription_status_display(), "" if amount is None else f"{amount / 10**places:.{places}f}", row.monthly_currency.upper(),
        ", ".join(line_name(*one) for one in row.lines), ", ".join(row.seated_on), f"{first.at:%Y-%m-%d %H:%M}" if first else "",
        first.label if first else "", ", ".join(flag.label for flag in row.flags), f"{row.created_at:%Y-%m-%d}",
    )  # fmt: skip
