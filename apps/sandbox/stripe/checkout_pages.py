"""Checkout's page, hosted or inside the embedded frame, and the script that stands in for Stripe.js.

GET  /stripe/checkout/<cs_…>                        hosted page; a finished session says so
GET  /stripe/checkout/embedded/<cs_… or secret>     the same inside a frame
POST to either, a plain form:
    card   digits of a test card (spaces allowed)
    exp    "MM/YY"      cvc   3 or 4 digits      name   name on the card
    email  only asked for when the session's customer has none
    bank   "1": pay by bank debit instead of a card (completes unpaid, the bank answers later)
    authentication   "confirm" or "fail": the answer to 3-D Secure; without it such cards get the page that asks
Answers: hosted and paid: 303 to success_url; embedded and paid: 200 with header X-Sandbox-Return (where the top page
goes); else 200 with the page again. Header X-Sandbox-Outcome says it in one word: paid, declined, authenticate, closed.
"""

import re
from pathlib import Path

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render

from apps.sandbox.stripe import cards, checkout_completion, checkout_totals, invoice_lines, periods, taxes
from apps.sandbox.stripe.errors import ApiError
from apps.sandbox.stripe.records import Obj, find, private

STATIC = Path(__file__).resolve().parent.parent / "static" / "sandbox" / "stripe"
ASSETS = {
    "stripe.js": "text/javascript",
    "frame.js": "text/javascript",
    "page.js": "text/javascript",
    "stripe.css": "text/css",
}
SHOWN = ("4242424242424242", "4000000000000002", "4000002760003184", "4000000000000341", "4000000000009995")


def asset(_request: HttpRequest, name: str) -> HttpResponse:
    """A script or style of the stand-in."""
    if name not in ASSETS:
        raise Http404
    response = HttpResponse((STATIC / name).read_bytes(), content_type=f"{ASSETS[name]}; charset=utf-8")
    response["Access-Control-Allow-Origin"] = "*"
    response["Cache-Control"] = "no-cache"
    return response


def hosted(request: HttpRequest, session_id: str) -> HttpResponse:
    """The page at the session's `url`."""
    return _page(request, session_id, embedded=False)


def embedded(request: HttpRequest, secret: str) -> HttpResponse:
    """The page inside the frame the script makes."""
    return _page(request, secret.split("_secret_")[0], embedded=True)


def _page(request: HttpRequest, session_id: str, *, embedded: bool) -> HttpResponse:
    session = find("checkout.session", session_id)
    if session is None:
        return _show(
            request,
            "closed.html",
            {"title": "No such session", "words": "This Checkout Session does not exist in the sandbox."},
            "closed",
            status=404,
        )
    if session["status"] != "open":
        return _closed(request, session, embedded=embedded)
    if request.method == "POST":
        return _submit(request, session, embedded=embedded)
    return _form(request, session, embedded=embedded)


def _show(request: HttpRequest, template: str, context: Obj, outcome: str, status: int = 200) -> HttpResponse:
    response = render(request, f"sandbox/stripe/{template}", context, status=status)
    response["X-Sandbox-Outcome"] = outcome
    return response


def _closed(request: HttpRequest, session: Obj, *, embedded: bool) -> HttpResponse:
    if session["status"] == "complete":
        return _show(
            request,
            "closed.html",
            {
                "title": "Already paid",
                "words": "This order is complete.",
                "link": checkout_completion.address_after(session),
                "embedded": embedded,
            },
            "closed",
        )
    words = "This page has expired. Go back and start again; nothing was charged."
    return _show(
        request,
        "closed.html",
        {"title": "Expired", "words": words, "link": session["cancel_url"], "embedded": embedded},
        "closed",
    )


def read_card(request: HttpRequest) -> tuple[str, tuple[int, int]]:
    """The number and expiry of the posted form."""
    if request.POST.get("bank"):
        return "000123456789", (12, 2034)
    number = re.sub(r"[\s-]", "", request.POST.get("card", ""))
    parts = re.fullmatch(r"\s*(\d{1,2})\s*/?\s*(\d{2}|\d{4})\s*", request.POST.get("exp", "") or "12/34")
    if parts is None or not 1 <= int(parts[1]) <= 12:
        raise ApiError(402, "Your card's expiration date is incomplete.")
    return number, (int(parts[1]), int(parts[2]) % 100 + 2000)


def _submit(request: HttpRequest, session: Obj, *, embedded: bool) -> HttpResponse:
    answer = request.POST.get("authentication", "")
    if answer == "fail":
        words = (
            "We are unable to authenticate your payment method. Please choose a different payment method and try again."
        )
        return _form(request, session, embedded=embedded, error=words)
    try:
        checkout_totals.fill_in(
            session,
            country=request.POST.get("country", "").strip(),
            code=request.POST.get("promotion_code", "").strip(),
            tax_id=request.POST.get("tax_id", "").strip(),
        )
        if request.POST.get("apply"):
            return _form(request, session, embedded=embedded)
        number, exp = read_card(request)
        email = "" if session["customer"] else request.POST.get("email", "").strip()
        result = checkout_completion.complete(
            session,
            number=number,
            name=request.POST.get("name", "").strip()[:200],
            email=email[:200],
            exp=exp,
            authenticated=answer == "confirm",
        )
    except ApiError as problem:
        return _form(request, session, embedded=embedded, error=problem.error["message"])
    if result == "authenticate":
        return ask(request, amount=money(session))
    address = checkout_completion.address_after(session)
    if embedded:
        response = _show(request, "done.html", {"address": address or "", "embedded": True}, "paid")
        response["X-Sandbox-Return"] = address or ""
        return response
    away = HttpResponseRedirect(address or "/", status=303)
    away["X-Sandbox-Outcome"] = "paid"
    return away


def ask(request: HttpRequest, *, amount: str) -> HttpResponse:
    """The bank's 3-D Secure question, carrying the form's fields along."""
    carried = [(name, value) for name, value in request.POST.items() if name != "authentication"]
    return _show(request, "authenticate.html", {"carried": carried, "amount": amount, "embedded": True}, "authenticate")


def money(session: Obj) -> str:
    """What is paid now."""
    return periods.money_text(session["amount_total"] or 0, session["currency"] or "usd")


def card_buttons() -> list[Obj]:
    """The test cards a page offers."""
    return [{"number": " ".join(re.findall(".{4}", number)), "says": cards.CARDS[number].says} for number in SHOWN]


def _form(request: HttpRequest, session: Obj, *, embedded: bool, error: str = "") -> HttpResponse:
    items = [
        {
            "name": item["description"],
            "quantity": item["quantity"],
            "rate": invoice_lines.rate_text(item["price"]),
            "amount": periods.money_text(item["amount_total"], item["currency"]),
        }
        for item in private(session["id"])["line_items"]
    ]
    owner = find("customer", session["customer"])
    context = {
        "needs_card": checkout_totals.needs_card(session), "countries": sorted(taxes.RATES), "extra": _extra(session),
        "trial_ends": _trial_text(session), "session": session, "items": items, "total": money(session), "embedded": embedded, "error": error,
        "email": owner["email"] if owner else session["customer_email"], "ask_email": not (owner and owner["email"]),
        "cards": card_buttons(), "typed": request.POST,
    }  # fmt: skip
    return _show(request, "checkout.html", context, "declined" if error else "open")


def _extra(session: Obj) -> list[tuple[str, str]]:
    """What is taken off, and the tax, each with its amount."""
    details, currency = session["total_details"], session["currency"] or "usd"
    rows = [("Discount", -details["amount_discount"]), ("Tax", details["amount_tax"])]
    return [(name, periods.money_text(amount, currency)) for name, amount in rows if amount]


def _trial_text(session: Obj) -> str:
    ends = checkout_totals.trial_end(session)
    return periods.day_text(ends) if ends else ""
