"""Template tags of every page: `{% icon "cloud" %}`, `{{ 1250|money:"eur" }}`, `{{ moment|day }}`. No data access in here."""

import datetime as dt
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from apps.core import dates
from apps.core.addresses import shown_email
from apps.core.money import format_money, format_price

register = template.Library()

# The symbols of static/frontdesk/icons.svg; a product may name any of them.
ICONS = frozenset(
    {
        "alert", "arrow", "bell", "box", "calendar", "chat", "check", "clock", "cloud", "card", "dots", "film", "globe",
        "key", "lock", "mail", "music", "note", "people", "photo", "shield", "storage", "user",
    }
)  # fmt: skip


@register.simple_tag
def icon(name: str) -> SafeString:
    """A decorative icon by name; a box for an unknown name."""
    symbol = name if name in ICONS else "box"
    return format_html(
        '<svg class="icon" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        static("frontdesk/icons.svg"),
        symbol,
    )


@register.filter
def money(minor_units: int | None, currency: str = "eur") -> str:
    """An amount in minor units for people, see `core.money`."""
    return format_money(minor_units, currency)


@register.simple_tag
def price(sold: Any) -> str:
    """What a price of ours costs, with its period: `€5 a month`."""
    return format_price(sold.unit_amount, sold.currency, sold.interval)


@register.filter(expects_localtime=True)
def day(moment: dt.date | None) -> str:
    """A date in the reader's language: `3 March 2027`; nothing for none, see `core.dates`."""
    return dates.day(moment) if moment else ""


@register.filter(expects_localtime=True)
def day_time(moment: dt.datetime | None) -> str:
    """The same with the time: `3 March 2027, 14:05`."""
    return dates.day_time(moment) if moment else ""


@register.simple_tag
def form_texts() -> SafeString:
    """What `forms.js` says by itself, as attributes of the element that it gets."""
    return format_html(
        'data-offline="{}" data-unreadable="{}"',
        _("You seem to be offline. Check your connection and try again."),
        _("That didn't work. Please reload the page and try again."),
    )


@register.filter
def address(email: str) -> str:
    """A stored email address as people write it, see `core.addresses`."""
    return shown_email(email)
