"""Money as people write it, in every kind of currency."""

import pytest

from apps.core.money import format_money, format_price, per_month


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (1250, "eur", "€12.50"),
        (900, "eur", "€9"),
        (0, "eur", "€0"),
        (5, "eur", "€0.05"),
        (-1999, "usd", "-$19.99"),
        (123_456_789, "usd", "$1,234,567.89"),
        (500, "jpy", "¥500"),
        (500, "krw", "₩500"),
        (1_500, "kwd", "KWD 1.500"),
        (5_000, "kwd", "KWD 5"),
        (5_000, "ugx", "UGX 50"),
        (100, "sek", "SEK 1"),
        (150, "gbp", "£1.50"),
        (100, "xyz", "XYZ 1"),
        (999_999_999_999, "eur", "€9,999,999,999.99"),
    ],
)
def test_an_amount_is_written_with_the_decimals_of_its_currency(amount: int, currency: str, text: str) -> None:
    assert format_money(amount, currency) == text


@pytest.mark.parametrize(
    ("interval", "count", "text"),
    [("month", 1, "€5 a month"), ("year", 1, "€5 a year"), ("month", 3, "€5 every 3 months"), ("fortnight", 1, "€5")],
)
def test_a_price_says_its_period(interval: str, count: int, text: str) -> None:
    assert format_price(500, "eur", interval, count) == text


@pytest.mark.parametrize(
    ("amount", "interval", "count", "monthly"),
    [(1200, "month", 1, 1200), (12_000, "year", 1, 1000), (3000, "month", 3, 1000), (1000, "year", 2, 42), (700, "week", 1, 3042),
     (100, "day", 1, 3042), (500, "fortnight", 1, 0), (10**18, "year", 1, 83_333_333_333_333_333)],
)  # fmt: skip
def test_an_amount_for_any_period_has_a_value_for_a_month(amount: int, interval: str, count: int, monthly: int) -> None:
    assert per_month(amount, interval, count) == monthly
