"""Template tags of every page: `{% icon "cloud" %}` and `{{ 1250|money:"eur" }}`. No data access in here."""

from typing import Any

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

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


@register.filter
def address(email: str) -> str:
    """A stored email address as people write it, see `core.addresses`."""
    return shown_email(email)
