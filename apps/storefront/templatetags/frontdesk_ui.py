"""Template tags of every page: `{% icon "cloud" %}` and `{{ 1250|money:"eur" }}`. No data access in here."""

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

# The symbols of static/frontdesk/icons.svg; a product may name any of them.
ICONS = frozenset(
    {
        "alert", "arrow", "bell", "box", "calendar", "chat", "check", "clock", "cloud", "card", "dots", "film", "globe",
        "key", "lock", "mail", "music", "note", "people", "photo", "shield", "storage", "user",
    }
)  # fmt: skip
SYMBOLS = {"eur": "€", "usd": "$", "gbp": "£", "chf": "CHF "}
# Currencies without a minor unit, docs.stripe.com/currencies#zero-decimal
ZERO_DECIMAL = frozenset(
    {
        "bif",
        "clp",
        "djf",
        "gnf",
        "jpy",
        "kmf",
        "krw",
        "mga",
        "pyg",
        "rwf",
        "ugx",
        "vnd",
        "vuv",
        "xaf",
        "xof",
        "xpf",
    }
)


@register.simple_tag
def icon(name: str) -> SafeString:
    """A decorative icon by its name; a box for a name nobody drew."""
    symbol = name if name in ICONS else "box"
    return format_html(
        '<svg class="icon" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        static("frontdesk/icons.svg"),
        symbol,
    )


@register.filter
def money(minor_units: int, currency: str = "eur") -> str:
    """An amount in minor units for people: `€1,250.00`, `€9` when there are no cents."""
    code = currency.lower()
    symbol = SYMBOLS.get(code, f"{code.upper()} ")
    if code in ZERO_DECIMAL:
        return f"{symbol}{minor_units:,}"
    whole, cents = divmod(minor_units, 100)
    return f"{symbol}{whole:,}.{cents:02d}" if cents else f"{symbol}{whole:,}"
