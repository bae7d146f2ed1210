"""The hosted page of an invoice in the sandbox: it is paid there, or not, as at Stripe."""

import pytest
import requests

from tests.sandbox.stripe_fixture import ASKS, DECLINED, FAILS_LATER, GOOD, Shop

CARD = {"exp": "12/34", "cvc": "123", "name": "Dana Example"}


@pytest.fixture
def late(shop: Shop) -> tuple[str, str]:
    """A subscription whose renewal failed, and the page of its invoice."""
    made = shop.subscribe()
    shop.control("payments", customer=made["customer"], mode="fail")
    shop.pass_time(days=32)
    assert shop.subscription(made["id"])["status"] == "past_due"
    return made["id"], shop.v1.invoices.list({"status": "open"}).data[0].hosted_invoice_url or ""


def test_a_card_pays_it_once_and_the_subscription_goes_on(shop: Shop, late: tuple[str, str]) -> None:
    subscription, page = late
    assert "Pay $10.00" in requests.get(page, timeout=30).text
    paid = shop.post(page, card=GOOD, **CARD)
    assert (paid.status_code, paid.headers["X-Sandbox-Outcome"]) == (303, "paid")
    assert shop.subscription(subscription)["status"] == "active"
    after = requests.get(page, timeout=30)
    assert (after.headers["X-Sandbox-Outcome"], "Invoice paid" in after.text) == ("closed", True)
    assert shop.post(page, card=GOOD, **CARD).headers["X-Sandbox-Outcome"] == "declined"
    assert "invoice.paid" in shop.story()


@pytest.mark.parametrize("card", [DECLINED, FAILS_LATER, ""])
def test_a_refused_card_is_told_and_nothing_is_paid(card: str, shop: Shop, late: tuple[str, str]) -> None:
    subscription, page = late
    refused = shop.post(page, card=card, **CARD)
    assert (refused.headers["X-Sandbox-Outcome"], "notice--bad" in refused.text) == ("declined", True)
    assert shop.subscription(subscription)["status"] == "past_due"


def test_a_bank_that_asks_is_answered(shop: Shop, late: tuple[str, str]) -> None:
    subscription, page = late
    assert shop.post(page, card=ASKS, **CARD).headers["X-Sandbox-Outcome"] == "authenticate"
    assert shop.post(page, card=ASKS, authentication="fail", **CARD).headers["X-Sandbox-Outcome"] == "declined"
    assert shop.subscription(subscription)["status"] == "past_due"
    assert shop.post(page, card=ASKS, authentication="confirm", **CARD).headers["X-Sandbox-Outcome"] == "paid"
    assert shop.subscription(subscription)["status"] == "active"


def test_it_can_be_kept_as_a_file(shop: Shop, late: tuple[str, str]) -> None:
    found = requests.get(f"{late[1]}/pdf", timeout=30)
    assert (found.headers["Content-Type"], found.content[:5]) == ("application/pdf", b"%PDF-")
    assert b"Total: $10.00" in found.content
    assert requests.get(late[1] + "0", timeout=30).status_code == 404
    assert requests.get(late[1] + "0/pdf", timeout=30).status_code == 404
