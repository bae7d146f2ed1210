"""Refunding a charge."""

from apps.sandbox.stripe import refunds
from apps.sandbox.stripe.errors import invalid
from apps.sandbox.stripe.records import Obj, every, get
from apps.sandbox.stripe.routing import route


@route("POST /v1/refunds")
def create_refund(params: Obj) -> Obj:
    """Give a charge's money back, whole or in part."""
    if "charge" not in params and "payment_intent" not in params:
        raise invalid("One of the following params should be provided for this request: payment_intent or charge.")
    identifier = (
        params.get("charge") or get("payment_intent", params["payment_intent"], "payment_intent")["latest_charge"]
    )
    charge = get("charge", identifier, "charge")
    left = charge["amount"] - charge["amount_refunded"]
    amount = params.get("amount", left)
    if charge["refunded"]:
        raise invalid(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if charge["disputed"] and not _refundable(charge):
        raise invalid(f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed")
    if not charge["paid"] or not 0 < amount <= left:
        raise invalid(f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})", "amount")
    return refunds.refund(charge, amount=amount, reason=params.get("reason"), metadata=params.get("metadata") or None)


def _refundable(charge: Obj) -> bool:
    own = [dispute for dispute in every("dispute") if dispute["charge"] == charge["id"]]
    return all(dispute["is_charge_refundable"] or dispute["status"] in {"won", "warning_closed"} for dispute in own)
