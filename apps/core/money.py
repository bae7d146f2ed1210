"""Amounts of money for people: minor units and a currency in, text out. The only place that knows decimals of currencies."""

from decimal import Decimal
from fractions import Fraction

from babel.numbers import format_currency, get_currency_symbol
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from apps.core import languages

# Where Stripe's minor unit is not a hundredth (docs.stripe.com/currencies#zero-decimal, #three-decimal). CLDR's own
# digits differ for some currencies, so Babel is only asked for the symbol and the grouping.
ZERO_DECIMAL = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"}
)
THREE_DECIMAL = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})

PATTERNS = {"de": "{}\N{NO-BREAK SPACE}¤"}  # where the sign follows the number


def decimals(currency: str) -> int:
    """How many decimals an amount in `currency` has."""
    code = currency.upper()
    return 0 if code in ZERO_DECIMAL else 3 if code in THREE_DECIMAL else 2


def format_money(amount: int | None, currency: str) -> str:
    """An amount in minor units as people write it: `€1,250.50`, `€9` for a whole amount, `¥500`, `SEK 1`; a dash for None.

    In German `1.250,50 €`, `9 €`.
    """
    if amount is None:
        return "–"
    code, digits = currency.upper(), decimals(currency)
    value = Decimal(amount).scaleb(-digits)
    cents = "" if value == value.to_integral_value() else f".{'0' * digits}"
    locale = languages.active()
    pattern = PATTERNS.get(locale) or ("¤ {}" if get_currency_symbol(code, locale=locale).isalpha() else "¤{}")
    return format_currency(value, code, pattern.format(f"#,##0{cents}"), locale=locale, currency_digits=False)


# A price with its period, as people say it. A whole phrase for each period: no language builds them from the same parts.
PRICES = {
    "day": gettext_noop("{amount} a day"), "week": gettext_noop("{amount} a week"),
    "month": gettext_noop("{amount} a month"), "year": gettext_noop("{amount} a year"),
}  # fmt: skip
PRICES_OF_SEVERAL = {
    "day": gettext_noop("{amount} every {count} days"), "week": gettext_noop("{amount} every {count} weeks"),
    "month": gettext_noop("{amount} every {count} months"), "year": gettext_noop("{amount} every {count} years"),
}  # fmt: skip
# The same beside an amount.
PERIODS = {
    "day": gettext_noop("a day"), "week": gettext_noop("a week"),
    "month": gettext_noop("a month"), "year": gettext_noop("a year"),
}  # fmt: skip
PERIODS_OF_SEVERAL = {
    "day": gettext_noop("every {count} days"), "week": gettext_noop("every {count} weeks"),
    "month": gettext_noop("every {count} months"), "year": gettext_noop("every {count} years"),
}  # fmt: skip


def format_price(amount: int | None, currency: str, interval: str, count: int = 1) -> str:
    """An amount with the period it is charged for: `€5 a month`, `€12 every 3 months`; the amount alone for a period new to us."""
    phrase = (PRICES if count == 1 else PRICES_OF_SEVERAL).get(interval, "{amount}")
    return _(phrase).format(amount=format_money(amount, currency), count=count)


def name_period(interval: str, count: int = 1) -> str:
    """How often something is charged, beside its amount: `a month`, `every 3 months`; empty for a period new to us."""
    phrase = (PERIODS if count == 1 else PERIODS_OF_SEVERAL).get(interval)
    return _(phrase).format(count=count) if phrase else ""


PER_MONTH = {"day": Fraction(365, 12), "week": Fraction(365, 84), "month": Fraction(1), "year": Fraction(1, 12)}


def per_month(amount: int, interval: str, count: int = 1) -> int:
    """What an amount for each period is in a month, in minor units: a year's is a twelfth. 0 for a period that is new to us."""
    return round(amount * PER_MONTH.get(interval, Fraction(0)) / max(count, 1))


def describe_period(interval: str, count: int = 1) -> str:
    """How often something is charged, for staff: `month`, `3 months`."""
    return interval if count == 1 else f"{count} {interval}s"
