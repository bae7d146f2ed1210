"""Lists of invoices, and paying one."""

from apps.sandbox.stripe import cards, collection, customers, invoices, lists, pending_updates, subscriptions
from apps.sandbox.stripe.errors import invalid
from apps.sandbox.stripe.records import Obj, find, get
from apps.sandbox.stripe.routing import route


def matching(found: list[Obj], params: Obj) -> list[Obj]:
    """Narrow a list by `subscription`."""
    wanted = params.get("subscription")
    return [invoice for invoice in found if wanted in (None, invoices.subscription_of(invoice))]


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


@route("GET /v1/invoices/{invoice}/lines")
def list_lines(params: Obj, identifier: str) -> Obj:
    """All lines of an invoice, in their order."""
    lines = get("invoice", identifier)["lines"]
    found = [{"created": 0} | line for line in reversed(lines["data"])]
    page = lists.page(found, params, lines["url"])
    return page | {"data": [{name: line[name] for name in line if name != "created"} for line in page["data"]]}


@route("POST /v1/invoices/{invoice}/void")
def void_invoice(_params: Obj, identifier: str) -> Obj:
    """Nobody owes it."""
    return _close(identifier, "void")


@route("POST /v1/invoices/{invoice}/mark_uncollectible")
def write_off_invoice(_params: Obj, identifier: str) -> Obj:
    """Nobody expects it to be paid any more."""
    return _close(identifier, "uncollectible")


def _close(identifier: str, status: str) -> Obj:
    invoice = get("invoice", identifier)
    if invoice["status"] not in {"open", "uncollectible"} or invoice["status"] == status:
        raise invalid(f"You can only pass in open invoices. This invoice isn't open. (status: {invoice['status']})")
    invoices.close(invoice, status)
    if status == "void":
        pending_updates.forget(invoice)  # voiding it is how a change that waits for it is withdrawn
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
        raise cards.needs_action("invoice")
    if result == "failed":
        problem = (invoices.intent_of(invoice) or {}).get("last_payment_error") or {}
        raise cards.decline(problem.get("decline_code", "generic_decline"))
