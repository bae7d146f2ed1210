"""The addresses of charges, refunds, disputes and balance transactions."""

from apps.sandbox.stripe import cards, customers, lists, payments, returns
from apps.sandbox.stripe.errors import invalid, missing_parameter
from apps.sandbox.stripe.events import change
from apps.sandbox.stripe.records import Obj, every, get, merge_metadata
from apps.sandbox.stripe.routing import route


@route("POST /v1/charges")
def create_charge(params: Obj) -> Obj:
    """An old-style charge of a token or a customer's card; 402 on a decline."""
    for name in ("amount", "currency"):
        if name not in params:
            raise missing_parameter(name)
    owner = get("customer", params["customer"], "customer") if "customer" in params else None
    default = owner["invoice_settings"]["default_payment_method"] if owner else None
    method = customers.resolve(str(params.get("source") or default or ""), "source")
    intent = payments.make_intent(
        amount=params["amount"],
        currency=params["currency"].lower(),
        customer=owner["id"] if owner else None,
        description=params.get("description"),
    )
    if payments.confirm(intent, method, on_session=True) == "failed":
        raise cards.decline(intent["last_payment_error"]["decline_code"])
    return get("charge", intent["latest_charge"])


@route("GET /v1/charges/search")
def search_charges(params: Obj) -> Obj:
    """Charges by query."""
    return lists.search(every("charge"), params, "/v1/charges/search")


@route("GET /v1/charges")
def list_charges(params: Obj) -> Obj:
    """Charges by customer or intent."""
    return lists.page(lists.matching(every("charge"), params, "customer", "payment_intent"), params, "/v1/charges")


@route("GET /v1/charges/{charge}")
def get_charge(_params: Obj, identifier: str) -> Obj:
    """One charge."""
    return get("charge", identifier)


@route("POST /v1/charges/{charge}")
def update_charge(params: Obj, identifier: str) -> Obj:
    """Change a charge's words or metadata."""
    charge = get("charge", identifier)
    with change(charge, "charge.updated"):
        charge["description"] = params.get("description", charge["description"])
        merge_metadata(charge, params.get("metadata"))
    return charge


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
        raise invalid(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.",
            code="charge_disputed",
        )
    if not charge["paid"] or not 0 < amount <= left:
        raise invalid(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})",
            "amount",
        )
    return returns.refund(charge, amount=amount, reason=params.get("reason"), metadata=params.get("metadata") or None)


def _refundable(charge: Obj) -> bool:
    own = [dispute for dispute in every("dispute") if dispute["charge"] == charge["id"]]
    return all(dispute["is_charge_refundable"] or dispute["status"] in {"won", "warning_closed"} for dispute in own)


@route("POST /v1/refunds/{refund}")
def update_refund(params: Obj, identifier: str) -> Obj:
    """Change a refund's metadata."""
    refund = get("refund", identifier)
    with change(refund, "refund.updated"):
        merge_metadata(refund, params.get("metadata"))
    return refund


@route("GET /v1/refunds")
def list_refunds(params: Obj) -> Obj:
    """Refunds by charge or intent."""
    return lists.page(lists.matching(every("refund"), params, "charge", "payment_intent"), params, "/v1/refunds")


@route("GET /v1/refunds/{refund}")
def get_refund(_params: Obj, identifier: str) -> Obj:
    """One refund."""
    return get("refund", identifier)


@route("GET /v1/disputes")
def list_disputes(params: Obj) -> Obj:
    """Disputes by charge or intent."""
    return lists.page(lists.matching(every("dispute"), params, "charge", "payment_intent"), params, "/v1/disputes")


@route("GET /v1/disputes/{dispute}")
def get_dispute(_params: Obj, identifier: str) -> Obj:
    """One dispute."""
    return get("dispute", identifier)


@route("POST /v1/disputes/{dispute}")
def update_dispute(params: Obj, identifier: str) -> Obj:
    """Hand evidence in; the text `winning_evidence` or `losing_evidence` decides it, as in Stripe's test mode."""
    dispute = get("dispute", identifier)
    with change(dispute, "charge.dispute.updated"):
        evidence = params.get("evidence", {})
        dispute["evidence"] |= evidence
        if evidence:
            dispute["evidence_details"] |= {"has_evidence": True, "submission_count": 1}
            dispute["status"] = "under_review"
        merge_metadata(dispute, params.get("metadata"))
    decided = {"winning_evidence": "won", "losing_evidence": "lost"}.get(
        params.get("evidence", {}).get("uncategorized_text", "")
    )
    if decided:
        returns.close_dispute(dispute, decided)
    return dispute


@route("GET /v1/balance_transactions")
def list_movements(params: Obj) -> Obj:
    """Balance transactions by source or type."""
    return lists.page(
        lists.matching(every("balance_transaction"), params, "source", "type"),
        params,
        "/v1/balance_transactions",
    )


@route("GET /v1/balance_transactions/{id}")
def get_movement(_params: Obj, identifier: str) -> Obj:
    """One balance transaction."""
    return get("balance_transaction", identifier)
