"""The addresses of invoices and of the payments made on them."""

from apps.sandbox.stripe import (
    cards,
    collection,
    customers,
    invoices,
    lists,
    previews,
    subscriptions,
    timeline,
)
from apps.sandbox.stripe.errors import invalid
from apps.sandbox.stripe.events import change
from apps.sandbox.stripe.records import Obj, every, find, get, merge_metadata
from apps.sandbox.stripe.routing import route


@route("GET /v1/invoices")
def list_invoices(params: Obj) -> Obj:
    """Invoices by customer, subscription, status."""
    found = lists.matching(every("invoice"), params, "customer", "status", "collection_method")
    if "subscription" in params:
        found = [invoice for invoice in found if invoices.subscription_of(invoice) == params["subscription"]]
    return lists.page(found, params, "/v1/invoices")


@route("GET /v1/invoices/search")
def search_invoices(params: Obj) -> Obj:
    """Invoices by query."""
    return lists.search(every("invoice"), params, "/v1/invoices/search")


@route("POST /v1/invoices/create_preview")
def create_preview(params: Obj) -> Obj:
    """What a change, or the next renewal, would cost."""
    return previews.preview(params) if "subscription" in params else previews.preview_new(params)


@route("GET /v1/invoices/{invoice}")
def get_invoice(_params: Obj, identifier: str) -> Obj:
    """One invoice."""
    return get("invoice", identifier)


@route("POST /v1/invoices/{invoice}")
def update_invoice(params: Obj, identifier: str) -> Obj:
    """Change an invoice's words, metadata or whether it goes on by itself."""
    invoice = get("invoice", identifier)
    with change(invoice, "invoice.updated"):
        invoice.update({name: params[name] or None for name in ("description", "footer") if name in params})
        invoice["auto_advance"] = params.get("auto_advance", invoice["auto_advance"])
        merge_metadata(invoice, params.get("metadata"))
    return invoice


@route("DELETE /v1/invoices/{invoice}")
def delete_invoice(_params: Obj, identifier: str) -> Obj:
    """Delete a draft that belongs to no subscription: the sandbox has none, so this is always refused."""
    get("invoice", identifier)
    raise invalid("You can only delete draft invoices that are not attached to a subscription.")


@route("GET /v1/invoices/{invoice}/lines")
def list_lines(params: Obj, identifier: str) -> Obj:
    """The lines of an invoice, in their order."""
    invoice = get("invoice", identifier)
    return lists.page(invoice["lines"]["data"][::-1], params, f"/v1/invoices/{identifier}/lines")


@route("POST /v1/invoices/{invoice}/finalize")
def finalize_invoice(_params: Obj, identifier: str) -> Obj:
    """Close a draft; its payment follows within the hour."""
    invoice = get("invoice", identifier)
    if invoice["status"] != "draft":
        raise invalid(
            "This invoice is already finalized, you can't re-finalize a non-draft invoice.",
            code="invoice_not_editable",
        )
    invoices.finalize(invoice)
    if invoice["collection_method"] == "charge_automatically":
        timeline.plan("retry", identifier, timeline.now() + 3600, invoice["test_clock"])
    return invoice


@route("POST /v1/invoices/{invoice}/pay")
def pay_invoice(params: Obj, identifier: str) -> Obj:
    """Pay an open invoice now, with the given method or the usual one; 402 when it is declined."""
    invoice = get("invoice", identifier)
    if invoice["status"] == "paid":
        raise invalid("Invoice is already paid")
    if invoice["status"] == "draft":
        invoices.finalize(invoice)
    if invoice["status"] not in {"open", "uncollectible"}:
        raise invalid(f"This invoice can no longer be paid (status: {invoice['status']}).")
    if params.get("paid_out_of_band"):
        collection.paid_outside(invoice)
        return invoice
    pay(invoice, params.get("payment_method"), on_session=not params.get("off_session", True))
    return invoice


def pay(invoice: Obj, method_id: str | None, *, on_session: bool) -> None:
    """Collect it; ApiError 402 unless it was paid or is on its way."""
    subscription = find("subscription", invoices.subscription_of(invoice))
    usual = subscriptions.method_of(subscription) if subscription else None
    method = customers.resolve(method_id) if method_id else usual
    if method is None:
        raise invalid("There is no default_payment_method set on this Customer or Invoice. Please set one.")
    if method["customer"] is None:
        customers.attach(method, invoice["customer"])
    result = collection.collect(invoice, method, on_session=on_session)
    if result == "action":
        raise cards.decline("authentication_required")
    if result == "failed":
        problem = (invoices.intent_of(invoice) or {}).get("last_payment_error") or {}
        raise cards.decline(problem.get("decline_code", "generic_decline"))


@route("POST /v1/invoices/{invoice}/void")
def void_invoice(_params: Obj, identifier: str) -> Obj:
    """Declare an open invoice a mistake."""
    return _close(identifier, "void")


@route("POST /v1/invoices/{invoice}/mark_uncollectible")
def mark_uncollectible(_params: Obj, identifier: str) -> Obj:
    """Give an open invoice up."""
    return _close(identifier, "uncollectible")


def _close(identifier: str, status: str) -> Obj:
    invoice = get("invoice", identifier)
    if invoice["status"] not in {"open", "uncollectible"}:
        raise invalid("You can only pass in open invoices. This invoice isn't open.")
    invoices.close(invoice, status)
    return invoice


@route("GET /v1/invoice_payments")
def list_invoice_payments(params: Obj) -> Obj:
    """Payments by invoice, status or the intent behind them."""
    found = lists.matching(every("invoice_payment"), params, "invoice", "status")
    payment = params.get("payment", {})
    if "payment_intent" in payment:
        found = [each for each in found if each["payment"].get("payment_intent") == payment["payment_intent"]]
    return lists.page(found, params, "/v1/invoice_payments")


@route("GET /v1/invoice_payments/{invoice_payment}")
def get_invoice_payment(_params: Obj, identifier: str) -> Obj:
    """One payment of an invoice."""
    return get("invoice_payment", identifier)
