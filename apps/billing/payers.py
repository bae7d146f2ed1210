"""Whose payment is it? Some charges name no customer: their payment, or the invoice that they pay, does."""

from typing import Any

import stripe

from apps.billing.parsing import identify, listed, plain


def find_customer(client: stripe.StripeClient, charge: Any) -> str:
    """The customer of a charge: its own, its payment intent's, or that of the invoice it pays; empty when there is none."""
    one = plain(charge)
    intent = identify(one.get("payment_intent"))
    if (named := identify(one.get("customer"))) or not intent:
        return named
    try:
        named = identify(plain(client.v1.payment_intents.retrieve(intent)).get("customer"))
    except stripe.PermissionError:  # the doctor reports it
        named = ""
    if named:
        return named
    asked: Any = {"payment": {"type": "payment_intent", "payment_intent": intent}, "expand": ["data.invoice"]}
    bills = [plain(one.get("invoice")) for one in map(plain, client.v1.invoice_payments.list(asked).data)]
    return next((named for bill in bills if (named := identify(bill.get("customer")))), "")


def fetch_nameless_charges(client: stripe.StripeClient, invoices: list[Any], found: list[Any]) -> list[Any]:
    """The charges that paid these invoices and are not among `found`, the customer's own."""
    have = {key for one in map(plain, found) for key in (identify(one), identify(one.get("payment_intent")))}
    paid = [
        plain(payment.get("payment"))
        for invoice in invoices
        for payment in listed(plain(invoice).get("payments"))
        if payment.get("status") == "paid"
    ]
    charges = {identify(one.get("charge")) for one in paid} - have - {""}
    intents = {identify(one.get("payment_intent")) for one in paid} - have - {""}
    more = [each for one in sorted(charges) for each in _fetch_charge(client, one)]
    return [*more, *(each for one in sorted(intents) for each in _list_charges(client, one))]


def _fetch_charge(client: stripe.StripeClient, charge_id: str) -> list[Any]:
    """The charge with its refunds; none when Stripe has it no more, which must not hold up what is known."""
    expand: Any = {"expand": ["refunds"]}
    try:
        return [client.v1.charges.retrieve(charge_id, expand)]
    except stripe.InvalidRequestError:
        return []


def _list_charges(client: stripe.StripeClient, intent: str) -> list[Any]:
    try:
        return list(client.v1.charges.list({"payment_intent": intent, "expand": ["data.refunds"]}).data)
    except stripe.InvalidRequestError:
        return []
