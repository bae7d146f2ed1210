"""What a customer who withdraws gets back: of what was for time, of what was not, with tax, and of credit that is spent."""

import datetime as dt
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from apps.billing.ledger import Invoice, parse_invoice
from apps.billing.payment_changes import list_transactions
from apps.billing.withdrawal_sums import Balance, read_balance, sum_due

BEGIN = dt.datetime(2027, 3, 1, 12, tzinfo=dt.UTC)
HALF, END = BEGIN + dt.timedelta(days=15), BEGIN + dt.timedelta(days=30)
MARK = ("mark", "this withdrawal")


def line(amount: int, tax: int = 0, behavior: str = "exclusive") -> dict[str, Any]:
    """Of a subscription, for the whole period."""
    return {
        "amount": amount,
        "period": {"start": int(BEGIN.timestamp()), "end": int(END.timestamp())},
        "parent": {"subscription_item_details": {"subscription_item": "si_1"}},
        "taxes": [{"amount": tax, "tax_behavior": behavior}] if tax else None,
    }


def fee(amount: int) -> dict[str, Any]:
    """Of something that was bought once."""
    return line(amount) | {"parent": {"invoice_item_details": {"invoice_item": "ii_1"}}}


def invoice(paid: int, *lines: dict[str, Any]) -> Invoice:
    return parse_invoice({"id": "in_1", "status": "paid", "amount_paid": paid, "currency": "eur"}, [*lines], [])


@pytest.mark.parametrize(
    ("paid", "lines", "due"),
    [
        (1000, [line(1000)], 500),
        (1190, [line(1000, 190)], 595),  # the tax came on top
        (1000, [line(1000, 160, "inclusive")], 500),
        (1260, [line(1000, 190), line(70)], 630),  # taxed in different ways
        (3000, [line(1000), fee(2000)], 2500),
        (
            2001,
            [line(1000), line(-999), fee(2000)],
            2001,
        ),  # the larger plan instead of the smaller: half a cent was used
    ],
)
def test_after_half_the_time_half_of_what_was_for_time_is_kept(
    paid: int, lines: list[dict[str, Any]], due: int
) -> None:
    made = invoice(paid, *lines)
    assert sum_due([made], Balance(), used_until=HALF) == due
    assert sum_due([made], Balance(), used_until=None) == paid


def moved(amount: int, ending: int, **more: Any) -> dict[str, Any]:
    return {"amount": amount, "ending_balance": ending, "currency": "eur"} | more


GAVE, SPENT = moved(-300, -300, invoice="in_1"), moved(120, -180, invoice="in_2")
TAKEN = moved(180, 0, metadata=dict([MARK]))
GOODWILL = moved(-100, -100)


@pytest.mark.parametrize(
    ("transactions", "own", "spent"),
    [
        ([], 0, 0),
        ([GAVE], 300, 0),
        ([SPENT, GAVE], 180, 120),
        ([TAKEN, SPENT, GAVE], 0, 120),
        ([GOODWILL, TAKEN, SPENT, GAVE], 0, 120),  # it came later, and is none of the subscription's
    ],
)
def test_credit_that_is_spent_is_not_paid_out_by_a_repetition_either(
    transactions: list[dict[str, Any]], own: int, spent: int
) -> None:
    made = invoice(800, line(800))
    balance = read_balance(transactions, [made], mark=MARK)
    assert (balance.own, balance.spent) == (own, spent)
    assert sum_due([made], balance, used_until=None) == 800 - spent


def test_credit_on_an_open_invoice_comes_back_when_that_is_voided_and_not_twice() -> None:
    made, late = invoice(800, line(800)), replace(invoice(0, line(500)), id="in_2", status="open")
    balance = read_balance([SPENT, GAVE], [made, late], mark=MARK)
    assert (balance.own, sum_due([made, late], balance, used_until=None)) == (180, 680)
    voided = [moved(-120, -120, invoice="in_2"), TAKEN, SPENT, GAVE]
    balance = read_balance(voided, [made, replace(late, status="void")], mark=MARK)
    assert (balance.own, sum_due([made], balance, used_until=None)) == (0, 680)


def test_credit_in_another_currency_is_not_mistaken_for_it() -> None:
    dollars = moved(-900, -900) | {"currency": "usd"}
    listed = SimpleNamespace(auto_paging_iter=lambda: iter([dollars, SPENT, GAVE]))
    transactions = SimpleNamespace(list=lambda *_: listed)
    client: Any = SimpleNamespace(v1=SimpleNamespace(customers=SimpleNamespace(balance_transactions=transactions)))
    assert list_transactions(client, "cus_1", "eur") == [SPENT, GAVE]
    assert list_transactions(client, "cus_1", "usd") == [dollars]
