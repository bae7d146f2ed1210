"""The people of a preview of terms as a file for a spreadsheet, in the order of its list, at most COUNT_LIMIT."""

from collections.abc import Iterator
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from apps.console.dialogs import find
from apps.console.exports import ask_for_export, send_file
from apps.console.saved_views import COUNT_LIMIT
from apps.console.site import takes_posts
from apps.core.addresses import shown_email
from apps.core.states import AccessState
from apps.operations.models import TermsPreview
from apps.operations.terms_preview import count_effects, people_with

CHUNK = 500
HEADINGS = ("Subscriber", "Username", "Email", "Effect", "Access now", "Access then")


class ExportPreview:
    """The page that asks why the lists are needed, and the file."""

    def get_custom_urls(self) -> Any:
        address = ("<path:object_id>/export/", "operations_termspreview_export", self.export_view)
        return (address, *super().get_custom_urls())  # type: ignore[misc]

    @takes_posts
    def export_view(self, request: HttpRequest, object_id: str, **_given: Any) -> HttpResponse:
        page: Any = self
        if not page.has_export_userprofile_permission(request):
            raise PermissionDenied
        row = find(TermsPreview, object_id)
        name, what = f"terms-preview-{row.pk}", {"preview": row.pk}

        def send(reason: str) -> HttpResponse:
            return send_file(request, read_rows(row), name=name, headings=HEADINGS, reason=reason, what=what)

        return ask_for_export(request, send, lambda: describe(row) | {"back": page.page_of(row)})


def describe(row: TermsPreview) -> dict[str, Any]:
    """What the page says about the file."""
    count = count_effects(row).concerned
    many = f"The first {COUNT_LIMIT:,} subscribers"
    return {
        "title": "Export the people of a preview",
        "heading": many if count > COUNT_LIMIT else f"{count:,} subscriber{'' if count == 1 else 's'}",
        "headings": HEADINGS, "back_to": "Back to the preview",
        "sentence": "A CSV file of the lists. It holds personal data: keep it only as long as you need it.",
    }  # fmt: skip


def read_rows(row: TermsPreview) -> Iterator[tuple[str, ...]]:
    """The cells of each, some hundred at a time."""
    for one in people_with(row, "")[:COUNT_LIMIT].iterator(chunk_size=CHUNK):
        yield (
            str(one.profile_id), one.profile.user.get_username(), shown_email(one.profile.email), one.get_effect_display(),
            AccessState(one.before).label, AccessState(one.after).label,
        )  # fmt: skip
