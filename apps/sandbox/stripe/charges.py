"""Charges as documents, and the balance transactions behind them."""

from apps.sandbox.stripe import timeline
from apps.sandbox.stripe.records import SHAPES, Obj, blank, copied, new


def draft(intent: Obj, method: Obj) -> Obj:
    """A charge of the method for the intent, its result still open."""
    charge = blank(
        "charge",
        amount=intent["amount"],
        currency=intent["currency"],
        customer=intent["customer"],
        description=intent["description"],
    )
    charge |= {"payment_intent": intent["id"], "payment_method": method["id"], "metadata": dict(intent["metadata"])}
    charge["billing_details"] = copied(method["billing_details"])
    if "card" in method:
        card = copied(SHAPES["charge_card"])
        for name in ("brand", "last4", "exp_month", "exp_year", "fingerprint", "funding", "country"):
            card[name] = method["card"][name]
        card |= {"amount_authorized": intent["amount"], "network": method["card"]["brand"]}
        card["overcapture"]["maximum_amount_capturable"] = intent["amount"]
        charge["payment_method_details"] = {"card": card, "type": "card"}
    else:
        bank = {
            name: method["us_bank_account"][name]
            for name in ("account_holder_type", "account_type", "bank_name", "fingerprint", "last4", "routing_number")
        }
        charge["payment_method_details"] = {
            "type": "us_bank_account",
            "us_bank_account": {**bank, "payment_reference": None},
        }
    charge["receipt_url"] = f"https://pay.stripe.com/receipts/payment/{charge['id']}"
    return charge


def move_money(*, amount: int, currency: str, source: str, kind: str, description: str | None = None) -> Obj:
    """A balance transaction; Stripe's fee is 2.9 % + 30 on charges, nothing else."""
    fee = round(amount * 0.029) + 30 if kind == "charge" else 0
    details = (
        [
            {
                "amount": fee,
                "application": None,
                "currency": currency,
                "description": "Stripe processing fees",
                "type": "stripe_fee",
            }
        ]
        if fee
        else []
    )
    return new(
        "balance_transaction",
        amount=amount,
        available_on=timeline.now() + 2 * 86_400,
        currency=currency,
        description=description,
        fee=fee,
        fee_details=details,
        net=amount - fee,
        reporting_category=kind,
        source=source,
        status="pending",
        type=kind,
    )


def outcome(network: str, kind: str, reason: str | None, words: str) -> Obj:
    """The words of the bank about a charge."""
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": network,
        "reason": reason,
        "risk_level": "normal",
        "risk_score": 12,
        "seller_message": words,
        "type": kind,
    }
