"""Selecting rows of a list: the box of each, the one above them, and which rows the address of a dialog names."""

from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.errors import BadInput


def all_box(name: str) -> SafeString:
    """The heading of the column of boxes."""
    tick = f"$el.closest('table').querySelectorAll('[name={name}]').forEach(one => one.checked = $el.checked)"
    return format_html('<input type="checkbox" aria-label="Select all on this page" x-on:change="{}">', tick)


def box(name: str, pk: int, what: object) -> SafeString:
    """The box of one row; `what` it is, for people who cannot see it."""
    return format_html('<input type="checkbox" name="{}" value="{}" aria-label="Select {}">', name, pk, what)


def opener(name: str) -> dict[str, str]:
    """The attributes of the button of a dialog about the selected rows."""
    return {"hx-include": f"#changelist-form [name={name}]"}


def read_selected(request: HttpRequest, name: str, *, most: int, too_many: str) -> list[int]:
    """The numbers of the selected rows. BadInput with the sentence `too_many` above `most`."""
    found = [int(one) for one in request.GET.getlist(name) if one.isascii() and one.isdigit() and len(one) < 19]
    if len(found) > most:
        raise BadInput(too_many)
    return found
