"""The hosted page of an invoice, where a customer pays it, and its PDF (docs.stripe.com/invoicing/hosted-invoice-page).

GET  /stripe/invoice/<in_…>       what it is for, and a form for a card while it is open
POST the same, a plain form: card, exp, cvc, name, authentication? as at Checkout; `bank` pays by bank debit
GET  /stripe/invoice/<in_…>/pdf   the file
Paid: 303 to the page; refused: 200 with the reason; 3-D Secure: 200 and the page that asks. The header X-Sandbox-Outcome says it in
one word: paid, declined, authenticate, open, closed. Anybody who has the link may pay, as at Stripe.
"""

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render

from apps.sandbox.stripe import cards, checkout_pages, collection, customers, invoices, pdf, periods
from apps.sandbox.stripe.errors import ApiError, invalid
from apps.sandbox.stripe.events import change
from apps.sandbox.stripe.records import Obj, find

PAYABLE = {"open", "uncollectible"}
STATES = {"paid": "Paid", "void": "Void", "uncollectible": "Unpaid", "open": "Open"}


def page(request: HttpRequest, invoice_id: str) -> HttpResponse:
    """The page, or what its form asks for."""
    invoice = find("invoice", invoice_id)
    if invoice is None or invoice["status"] == "draft":
        return _none(request)
    if request.method != "POST":
        return _show(request, invoice)
    try:
        result = _pay(request, invoice)
    except ApiError as problem:
        return _show(request, invoice, error=problem.error["message"])
    if result == "action":
        return checkout_pages.ask(request, amount=_money(invoice, "amount_remaining"))
    away = HttpResponseRedirect(f"/stripe/invoice/{invoice_id}", status=303)
    away["X-Sandbox-Outcome"] = "paid"
    return away


def file(request: HttpRequest, invoice_id: str) -> HttpResponse:
    """The invoice to keep."""
    invoice = find("invoice", invoice_id)
    if invoice is None or invoice["status"] == "draft":
        return _none(request)
    answer = HttpResponse(pdf.write(_text(invoice)), content_type="application/pdf")
    answer["Content-Disposition"] = f'attachment; filename="Invoice-{invoice["number"]}.pdf"'
    return answer


def _none(request: HttpRequest) -> HttpResponse:
    words = {"title": "No such invoice", "words": "This invoice does not exist in the sandbox."}
    return render(request, "sandbox/stripe/closed.html", words, status=404)


def _pay(request: HttpRequest, invoice: Obj) -> str:
    """Collect it with a new card, which the customer keeps: "succeeded", "action" or "processing", or ApiError 402."""
    if invoice["status"] not in PAYABLE:
        raise invalid("This invoice is not open.")
    answer = request.POST.get("authentication", "")
    if answer == "fail":
        raise invalid("We are unable to authenticate your payment method.")
    number, exp = checkout_pages.read_card(request)
    name = request.POST.get("name", "").strip()[:200]
    method = cards.make(number, name=name, email=invoice["customer_email"], exp=exp)
    if cards.card_of(method).attach == "authenticate" and answer != "confirm":
        return "action"
    customers.attach(method, invoice["customer"], authenticated=answer == "confirm")
    result = collection.collect(invoice, method, on_session=True, authenticated=answer == "confirm")
    if result == "failed":
        problem = (invoices.intent_of(invoice) or {}).get("last_payment_error") or {}
        raise cards.decline(problem.get("decline_code", "generic_decline"))
    if result == "succeeded":
        _use_from_now_on(invoice, method)
    return result


def _use_from_now_on(invoice: Obj, method: Obj) -> None:
    """The subscription is charged with what its invoice was paid with, where it says so."""
    subscription = find("subscription", invoices.subscription_of(invoice))
    if subscription and subscription["payment_settings"]["save_default_payment_method"] == "on_subscription":
        with change(subscription, "customer.subscription.updated"):
            subscription["default_payment_method"] = method["id"]


def _money(invoice: Obj, name: str) -> str:
    return periods.money_text(invoice[name], invoice["currency"])


def _show(request: HttpRequest, invoice: Obj, *, error: str = "") -> HttpResponse:
    is_open = invoice["status"] in PAYABLE and invoice["amount_remaining"] > 0
    waits = is_open and (invoices.intent_of(invoice) or {}).get("status") == "processing"
    context = {
        "invoice": invoice, "state": STATES.get(invoice["status"], invoice["status"]), "is_open": is_open, "waits": waits, "error": error,
        "day": periods.day_text(invoice["created"]), "due": periods.day_text(invoice["due_date"]) if invoice["due_date"] else "",
        "total": _money(invoice, "total"), "owed": _money(invoice, "amount_remaining"), "paid": _money(invoice, "amount_paid"),
        "lines": [{"text": one["description"], "amount": periods.money_text(one["amount"], one["currency"])} for one in invoice["lines"]["data"]],
        "cards": checkout_pages.card_buttons(), "typed": request.POST,
    }  # fmt: skip
    answer = render(request, "sandbox/stripe/invoice.html", context)
    answer["X-Sandbox-Outcome"] = "declined" if error else "open" if is_open else "closed"
    return answer


def _text(invoice: Obj) -> list[str]:
    lines = [
        f"{one['description']}   {periods.money_text(one['amount'], one['currency'])}"
        for one in invoice["lines"]["data"]
    ]
    return [
        f"Invoice {invoice['number']}",
        f"Date: {periods.day_text(invoice['created'])}",
        f"For: {invoice['customer_name'] or ''} {invoice['customer_email'] or ''}",
        "",
        *lines,
        "",
        f"Total: {_money(invoice, 'total')}",
        f"Paid: {_money(invoice, 'amount_paid')}",
        f"Due: {_money(invoice, 'amount_remaining')}",
        "",
        "Sandbox: no real money.",
    ]
