"""The test cards: what each number and each magic payment method does (docs.stripe.com/testing).

`attach` and `charge` name what happens when the card is saved and when it is charged: "ok", "authenticate", or the
decline's code.
"""

from dataclasses import dataclass

from apps.sandbox.stripe.errors import ApiError, card_error
from apps.sandbox.stripe.records import Obj, blank, find, private, random_text

GENERIC = "Your card was declined."


@dataclass(frozen=True)
class Card:
    """One test card."""

    brand: str
    says: str
    attach: str = "ok"
    charge: str = "ok"


CARDS = {
    "4242424242424242": Card("visa", "Pays"),
    "4000000000000077": Card("visa", "Pays"),
    "5555555555554444": Card("mastercard", "Pays"),
    "378282246310005": Card("amex", "Pays"),
    "4000000000000002": Card("visa", "Is declined", "generic_decline", "generic_decline"),
    "4000000000009995": Card("visa", "Has no money", "insufficient_funds", "insufficient_funds"),
    "4000000000000069": Card("visa", "Has expired", "expired_card", "expired_card"),
    "4000000000000127": Card("visa", "Wrong code", "incorrect_cvc", "incorrect_cvc"),
    "4000000000000119": Card("visa", "Processing error", "processing_error", "processing_error"),
    "4000000000000341": Card("visa", "Can be saved, charges fail", "ok", "generic_decline"),
    "4000002760003184": Card("visa", "Needs 3-D Secure each time", "authenticate", "authenticate"),
    "4000002500003155": Card("visa", "Needs 3-D Secure once", "authenticate", "authenticate_once"),
    "4000000000000259": Card("visa", "Pays, then disputes", "ok", "dispute"),
    "4000000000001976": Card("visa", "Pays, then inquires", "ok", "inquiry"),
    "000123456789": Card("bank", "Bank debit: pays days later", "ok", "processing"),
}  # fmt: skip
MAGIC = {
    "pm_card_visa": "4242424242424242", "pm_card_mastercard": "5555555555554444", "pm_card_amex": "378282246310005",
    "pm_card_bypassPending": "4000000000000077", "pm_card_chargeDeclined": "4000000000000002",
    "pm_card_visa_chargeDeclined": "4000000000000002", "pm_card_chargeCustomerFail": "4000000000000341",
    "pm_card_chargeDeclinedInsufficientFunds": "4000000000009995", "pm_card_authenticationRequired": "4000002760003184",
    "pm_card_threeDSecure2Required": "4000002760003184", "pm_card_authenticationRequiredOnSetup": "4000002500003155",
    "pm_card_createDispute": "4000000000000259", "pm_card_createDisputeInquiry": "4000000000001976",
    "pm_usBankAccount": "000123456789",
}  # fmt: skip
MESSAGES = {
    "insufficient_funds": "Your card has insufficient funds.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": "An error occurred while processing your card. Try again in a little bit.",
    "authentication_required": "Your card was declined. This transaction requires authentication.",
}
NEEDS_ACTION = "Payment for this {what} requires additional user action before it can be completed successfully."
OWN_CODES = {"expired_card", "incorrect_cvc", "processing_error", "authentication_required"}


def decline(code: str, **fields: object) -> ApiError:
    """The 402 for a decline."""
    outer = code if code in OWN_CODES else "card_declined"
    return card_error(code=outer, decline_code=code, message=MESSAGES.get(code, GENERIC), **fields)


def needs_action(what: str) -> ApiError:
    """The 402 where nobody is there to answer the bank: Stripe's own code, and none of the bank's."""
    message = NEEDS_ACTION.format(what=what)
    return card_error(code=f"{what}_payment_intent_requires_action", decline_code=None, message=message)


def make(number: str, *, name: str | None = None, email: str | None = None, exp: tuple[int, int] = (12, 2034)) -> Obj:
    """A payment method of this test number, not kept yet; a number that is no test card is refused with 402."""
    card = CARDS.get(number)
    if card is None:
        message = "Your card number is incorrect." if number else "Your card number is incomplete."
        raise card_error(code="incorrect_number", decline_code=None, message=message, param="number")
    method = blank("payment_method")
    method["billing_details"].update(name=name or None, email=email or None)
    if card.brand == "bank":
        _make_bank(method, number)
    else:
        method["card"].update(
            brand=card.brand,
            display_brand=card.brand,
            last4=number[-4:],
            fingerprint=random_text(16),
            exp_month=exp[0],
            exp_year=exp[1],
        )
        method["card"]["networks"] = {"available": [card.brand], "preferred": None}
    private(method["id"])["number"] = number
    return method


def _make_bank(method: Obj, number: str) -> None:
    del method["card"]
    method["type"] = "us_bank_account"
    method["us_bank_account"] = {
        "account_holder_type": "individual", "account_type": "checking", "bank_name": "STRIPE TEST BANK",
        "financial_connections_account": None, "fingerprint": random_text(16), "last4": number[-4:],
        "networks": {"preferred": "ach", "supported": ["ach"]}, "routing_number": "110000000", "status_details": {},
    }  # fmt: skip


def card_of(method: Obj) -> Card:
    """The test card behind a payment method."""
    return CARDS[private(method["id"]).get("number", "4242424242424242")]


def outcome(method: Obj, *, on_session: bool, authenticated: bool) -> str:
    """What charging it does: "ok", "dispute", "inquiry", "processing", "authenticate" or a decline's code."""
    customer = find("customer", method["customer"])
    notes = private(method["id"])
    if customer is not None and not on_session and private(customer["id"]).get("payments") == "fail":
        return "insufficient_funds"
    result = card_of(method).charge
    if result == "authenticate_once":
        result = "ok" if notes.get("authenticated") or authenticated else "authenticate"
    if result == "authenticate" and authenticated:
        return "ok"
    if result == "authenticate" and not on_session:
        return "authentication_required"
    return result


def describe(method: Obj) -> str:
    """For a page: "Visa ending in 4242"."""
    if "card" not in method:
        return f"Bank account ending in {method['us_bank_account']['last4']}"
    return f"{method['card']['display_brand'].title()} ending in {method['card']['last4']}"
