"""What appears in the columns and fields of many pages: badges, moments, links to people, money, JSON. No queries.

Each factory returns a method for a ModelAdmin; `badge`, `link` and `pretty` return markup for any template.
"""

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.urls import NoReverseMatch, reverse
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.access.upcoming import Change, read_all
from apps.core import audit, clock
from apps.core.addresses import shown_email
from apps.core.states import AccessState, SubscriptionStatus, Tone

SECRET_WORDS = ("secret", "token", "password")
STATE_ENUMS: dict[str, Any] = {
    "access_state": AccessState,
    "subscription_status": SubscriptionStatus,
    "status": SubscriptionStatus,
}  # of the fields whose enum is not named like the field
DAY = dt.timedelta(days=1)
UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))  # in seconds
Column = Callable[..., Any]


def badge(text: str, tone: Tone | str = Tone.CALM) -> SafeString:
    """A short text as a coloured label; nothing for an empty one."""
    return format_html('<span class="fd-badge fd-{}">{}</span>', str(tone), text) if text else SafeString("–")


def state_badge(row: Any, field: str = "state") -> SafeString:
    """The state of a row in its own words and tone."""
    value = getattr(row, field)
    enum: Any = STATE_ENUMS.get(field) or getattr(row, field.capitalize(), ())
    tone = next((getattr(one, "tone", Tone.CALM) for one in enum if one == value), Tone.CALM)
    return badge(getattr(row, f"get_{field}_display")(), tone)


def when(moment: Any, *, seconds: bool = False) -> str:
    """A moment in the reader's time zone (zones.py), short: 22 Nov 2026, 21:04."""
    return (
        formats.date_format(timezone.localtime(moment), "j M Y, H:i:s" if seconds else "j M Y, H:i") if moment else "–"
    )


def when_over(end: Any) -> str:
    """When something ends: the end of its last day, where it ends with a day of UTC; else the moment."""
    if not end or end.astimezone(dt.UTC).time() != dt.time():
        return when(end)
    is_utc = not timezone.localtime(end).utcoffset()
    return f"end of {formats.date_format(end.astimezone(dt.UTC) - DAY, 'j M Y')}{'' if is_utc else ' UTC'}"


def how_far(moment: dt.datetime) -> str:
    """From now, in its largest unit: in 3 days, 2 hours ago, now."""
    seconds = (moment - clock.now()).total_seconds()
    size, unit = next(((size, unit) for size, unit in UNITS if abs(seconds) >= size), (0, ""))
    if not size:
        return "now"
    count = int(abs(seconds) // size)
    text = f"{count:,} {unit}{'' if count == 1 else 's'}"
    return f"in {text}" if seconds > 0 else f"{text} ago"


def timed(moment: Any, *, is_end: bool = False) -> SafeString:
    """A moment for a page: in the reader's time zone, how far from now, and exactly, in UTC, where one points at it."""
    if not moment:
        return SafeString("–")
    exact = f"{formats.date_format(moment.astimezone(dt.UTC), 'j M Y, H:i:s')} UTC"
    return format_html(
        '<time datetime="{}" title="{}">{}</time> <span class="fd-ago">({})</span>',
        moment.isoformat(), exact, when_over(moment) if is_end else when(moment), how_far(moment),
    )  # fmt: skip


def address(target: Model) -> str:
    """The console page of a row; empty when it has none."""
    meta = target._meta
    try:
        return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[target.pk])
    except NoReverseMatch:
        return ""


def link(target: Model | None, text: str = "") -> SafeString:
    """A row by its name, as a link to its page."""
    if target is None:
        return SafeString("–")
    return format_html('<a class="fd-link" href="{}">{}</a>', address(target), text or str(target))


def dialog_link(url: str, text: str, label: str) -> SafeString:
    """A link that opens the dialog at `url` over the page; without scripts it is a page. `label` says what it is about."""
    return format_html(
        '<a class="fd-link" href="{}" aria-label="{}" aria-haspopup="dialog" hx-get="{}" hx-target="#modal-content"'
        ' hx-select="#dialog" x-on:htmx:after-on-load="openModal = true">{}</a>',
        url,
        label,
        url,
        text,
    )


def pretty(value: Any) -> SafeString:
    """JSON, indented; whatever is named like a secret is blotted out."""
    text = json.dumps(_blot(value), indent=2, ensure_ascii=False, sort_keys=True, default=str)
    return format_html('<pre class="fd-code">{}</pre>', text)


def _blot(value: Any) -> Any:
    """`value` without the values of keys that sound like secrets."""
    if isinstance(value, dict):
        return {
            key: "•••" if item and any(word in str(key).lower() for word in SECRET_WORDS) else _blot(item)
            for key, item in value.items()
        }
    return [_blot(item) for item in value] if isinstance(value, list) else value


def describe_actor(actor: str) -> str:
    """Who did it, in words."""
    kind, _, name = actor.partition(":")
    if actor == audit.SYSTEM:
        return "Frontdesk"
    if actor == audit.CUSTOMER:
        return "the subscriber"
    return name if kind == "staff" else actor


# --- methods for ModelAdmins -----------------------------------------------------------------------------------------


def seat_until(seat: Any) -> SafeString:
    """When a seat is released automatically: a reserved one when the payment ends, a retained one at the final date."""
    if seat.state != "retained":
        return timed(seat.reserved_until)
    beside = next((one.at for one in read_all(seat.profile.forecast) if one.change == Change.KEPT_SEAT_ENDS), None)
    return timed(seat.profile.final_expiry_at or beside, is_end=True)


def state_column(field: str = "state", description: str = "State") -> Column:
    """A column with choices, as a badge."""

    @admin.display(description=description, ordering=field)
    def show(_self: Any, row: Any) -> SafeString:
        return state_badge(row, field)

    return show


def time_column(field: str, description: str, *, is_end: bool = False) -> Column:
    @admin.display(description=description, ordering=field)
    def show(_self: Any, row: Any) -> SafeString:
        return timed(getattr(row, field), is_end=is_end)

    return show


def email_column(field: str = "email", description: str = "Email") -> Column:
    """An address as its owner writes it."""

    @admin.display(description=description, ordering=field)
    def show(_self: Any, row: Any) -> str:
        return shown_email(getattr(row, field))

    return show


def link_column(field: str, description: str) -> Column:
    """A row that this one points at, linked; needs list_select_related."""

    @admin.display(description=description)
    def show(_self: Any, row: Any) -> SafeString:
        return link(getattr(row, field))

    return show


def person_column() -> Column:
    """The subscriber of a row, linked; needs list_select_related on `profile__user`."""
    return link_column("profile", "Subscriber")


def json_field(field: str, description: str) -> Column:
    """A JSON column, pretty and without secrets; for detail pages."""

    @admin.display(description=description)
    def show(_self: Any, row: Any) -> SafeString:
        return pretty(getattr(row, field))

    return show
