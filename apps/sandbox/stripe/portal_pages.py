"""The billing portal's page.

GET  /stripe/portal/<bps_…>   plan, next charge, card, invoices; a session with `flow` shows only that step
POST the same, a plain form; `action` is one of
    cancel     {subscription}                  at the period's end
    undo       {subscription}                  do not cancel after all
    change     {subscription, item, price}     another price for one item
    card       {card, exp, cvc, name, authentication?}   new card; open invoices are paid with it
    pay        {invoice}                       pay an open invoice
Done: 303 to the page with header X-Sandbox-Outcome: done; refused: 200 with the reason
and X-Sandbox-Outcome: declined; 3-D Secure: 200 and authenticate.
"""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render

from apps.sandbox.stripe import cards, checkout_pages, invoice_lines, periods, portal, subscriptions
from apps.sandbox.stripe.errors import ApiError, invalid
from apps.sandbox.stripe.records import Obj, every, find, get
from apps.sandbox.stripe.scheduled import upcoming

SAID = {
    "cancel": "Your subscription has been canceled.",
    "undo": "Your subscription will continue.",
    "change": "Your plan has been changed.",
    "card": "Your new card has been saved.",
    "pay": "Thank you, the invoice is paid.",
}
STATUS = {
    "active": "Active",
    "trialing": "Trial",
    "past_due": "Payment overdue",
    "unpaid": "Unpaid",
    "incomplete": "Waiting for payment",
    "paused": "Paused",
}


def portal_page(request: HttpRequest, session_id: str) -> HttpResponse:
    """The page, or what its forms ask for."""
    session = find("billing_portal.session", session_id)
    customer = find("customer", session["customer"]) if session else None
    if session is None or customer is None:
        return render(
            request,
            "sandbox/stripe/closed.html",
            {"title": "No such portal session", "words": "Open the billing portal again from your account."},
            status=404,
        )
    if request.method != "POST":
        return _show(request, session, customer, said=SAID.get(request.GET.get("said", ""), ""))
    action = request.POST.get("action", "")
    try:
        if _back(session) and action != "card":
            raise invalid("This page only takes a new card.")
        result = _act(request, session, customer, action)
    except ApiError as problem:
        return _show(request, session, customer, error=problem.error["message"])
    if result == "authenticate":
        return checkout_pages.ask(request, amount="")
    away = HttpResponseRedirect(_back(session) or f"/stripe/portal/{session['id']}?said={action}", status=303)
    away["X-Sandbox-Outcome"] = "done"
    return away


def _back(session: Obj) -> str:
    """Where a session leads once its one step is done, if not to the portal."""
    redirect = (session["flow"] or {}).get("after_completion", {}).get("redirect") or {}
    return str(redirect.get("return_url", ""))


def _own(customer: Obj, subscription_id: str) -> Obj:
    subscription = find("subscription", subscription_id)
    if (
        subscription is None
        or subscription["customer"] != customer["id"]
        or subscription["status"] in subscriptions.ENDED
    ):
        raise invalid("There is no such subscription.")
    return subscription


def _act(request: HttpRequest, session: Obj, customer: Obj, action: str) -> str:
    configuration = get("billing_portal.configuration", session["configuration"])
    form = request.POST
    if action == "card":
        answer = form.get("authentication", "")
        if answer == "fail":
            raise invalid("We are unable to authenticate your payment method.")
        number, exp = checkout_pages.read_card(request)
        return portal.save_card(
            customer, number, name=form.get("name", "")[:200], exp=exp, authenticated=answer == "confirm"
        )
    if action == "pay":
        portal.pay_invoice(customer, form.get("invoice", ""))
        return "paid"
    if action not in SAID:
        raise invalid("This is not something the portal does.")
    subscription = _own(customer, form.get("subscription", ""))
    _change(subscription, configuration, form, action)
    return "done"


def _change(subscription: Obj, configuration: Obj, form: Any, action: str) -> None:
    features = configuration["features"]
    if action == "cancel":
        if not features["subscription_cancel"]["enabled"]:
            raise invalid("Cancelling is not offered here.")
        portal.cancel(subscription)
    elif action == "undo":
        portal.undo_cancel(subscription)
    else:
        allowed = {price["id"] for price in portal.choices(subscription)}
        if not features["subscription_update"]["enabled"] or form.get("price") not in allowed:
            raise invalid("This plan is not offered here.")
        portal.change_plan(subscription, [{"id": form.get("item", ""), "price": form["price"]}], configuration)


def _show(request: HttpRequest, session: Obj, customer: Obj, *, said: str = "", error: str = "") -> HttpResponse:
    configuration = get("billing_portal.configuration", session["configuration"])
    own = [each for each in every("subscription") if each["customer"] == customer["id"]]
    running = [each for each in own if each["status"] not in subscriptions.ENDED]
    context = {
        "session": session, "customer": customer, "said": said, "error": error, "cards": checkout_pages.card_buttons(), "typed": request.POST,
        "flow": bool(session["flow"]) and (bool(_back(session)) or not said), "features": configuration["features"],
        "subscriptions": [_subscription(each) for each in running],
        "method": _method(customer, running), "invoices": [_invoice(each) for each in every("invoice") if each["customer"] == customer["id"] and each["status"] != "draft"][::-1],
    }  # fmt: skip
    response = render(request, "sandbox/stripe/portal.html", context)
    response["X-Sandbox-Outcome"] = "declined" if error else "open"
    return response


def _method(customer: Obj, running: list[Obj]) -> str:
    found = (
        subscriptions.method_of(running[-1])
        if running
        else find("payment_method", customer["invoice_settings"]["default_payment_method"])
    )
    return cards.describe(found) if found else "No card saved"


def _subscription(subscription: Obj) -> Obj:
    goes_on = subscription["cancel_at"] is None and subscription["status"] in {"active", "past_due", "trialing"}
    preview = upcoming(subscription) if goes_on else None
    moment = (
        subscription["trial_end"] if subscription["status"] == "trialing" else subscriptions.period_end(subscription)
    )
    options = [
        {"id": price["id"], "text": f"{invoice_lines.name_of(price)}, {invoice_lines.rate_text(price)}"}
        for price in portal.choices(subscription)
    ]
    return {
        "id": subscription["id"], "status": subscription["status"], "status_text": STATUS[subscription["status"]],
        "items": [{"id": item["id"], "name": invoice_lines.name_of(item["price"]), "quantity": item["quantity"], "rate": invoice_lines.rate_text(item["price"]), "price": item["price"]["id"], "options": options} for item in subscriptions.items_of(subscription)],
        "ends": periods.day_text(subscription["cancel_at"]) if subscription["cancel_at"] else "",
        "next": periods.day_text(moment) if preview else "", "next_amount": periods.money_text(preview["amount_due"], preview["currency"]) if preview else "",
    }  # fmt: skip


def _invoice(invoice: Obj) -> Obj:
    amount = periods.money_text(invoice["total"], invoice["currency"])
    return {
        "id": invoice["id"],
        "number": invoice["number"],
        "day": periods.day_text(invoice["created"]),
        "amount": amount,
        "status": invoice["status"],
        "open": invoice["status"] == "open",
    }
