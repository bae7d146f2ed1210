"""Money as people write it, in every kind of currency."""

import pytest

from apps.core.money import format_money


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
