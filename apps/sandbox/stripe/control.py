"""Switches for tests and demos: POST JSON to `/stripe/_control/<name>`; answers JSON, 400 with "error" when it cannot.

payments {"customer", "mode": "fail"|"ok"}           every later charge without the customer present fails, or works again
dispute {"charge", "amount"?, "inquiry"?, "reason"?} open a dispute
close_dispute {"dispute", "status": "won"|"lost"|"warning_closed"|"prevented"}
refund {"charge", "amount"?, "fail"?}                refund as if from Stripe's dashboard; "fail": the bank then refuses it
async {"session"|"invoice", "paid": true|false}      the bank's answer to a debit that was processing
invoice {"customer", "amount", "currency"}           an invoice that staff made by hand, finalized
edit {"kind", "id", "fields": {...}}                 change an object with no event at all
put {"objects": [..]}                                keep these objects exactly so, with no event; nothing happens to them by itself
silent {"method", "path", "params": {...}}           make an API call whose events are lost before they exist
delete {"kind", "id"}                                remove an object without a trace
endpoint {"url"?, "secret"?, "version"?,              deliver events there instead of to the configured address, in that API version,
          "status"?: "disabled", "events"?: [..]}      or none, or these types alone
forget_events {}                                     as if Stripe had made none so far: no list has them
settings {"retry_days"?: [..], "end"?: "cancel"|"unpaid"|"past_due", "draft_seconds"?, "missing_rights"?: ["subscription_read", ..],
          "portal_saved"?: bool, "invoice_pages"?: false: no invoice has a page of its own, "tax"?: "active"|"pending",
          "debits_open"?: bool: a first debit makes the subscription active before the bank has answered}
state {}                                             counts of objects, waiting deliveries, settings
"""

import json
from collections.abc import Callable
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, JsonResponse

from apps.sandbox.stripe import (
    api,
    checkout_completion,
    collection,
    events,
    invoices,
    refund_api,
    refunds,
    subscriptions,
    webhooks,
)
from apps.sandbox.stripe.errors import ApiError
from apps.sandbox.stripe.records import Obj, add, find, forget, get, private, root


def serve(request: HttpRequest, name: str) -> HttpResponse:
    """Turn one switch."""
    switch = SWITCHES.get(name)
    if switch is None or request.method != "POST":
        return JsonResponse({"error": f"POST one of: {', '.join(SWITCHES)}"}, status=404)
    try:
        options = json.loads(request.body or b"{}")
        return JsonResponse(switch(options))
    except ApiError as problem:
        return JsonResponse({"error": problem.error["message"]}, status=400)
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        return JsonResponse({"error": f"{type(problem).__name__}: {problem}"}, status=400)


def _payments(options: Obj) -> Obj:
    get("customer", options["customer"])
    if options["mode"] not in {"fail", "ok"}:
        raise ValueError("mode must be fail or ok.")
    private(options["customer"])["payments"] = options["mode"]
    return {"customer": options["customer"], "mode": options["mode"]}


def _dispute(options: Obj) -> Obj:
    charge = get("charge", options["charge"])
    return refunds.open_dispute(
        charge,
        inquiry=bool(options.get("inquiry")),
        reason=options.get("reason", "fraudulent"),
        amount=options.get("amount"),
    )


def _close_dispute(options: Obj) -> Obj:
    dispute = get("dispute", options["dispute"])
    if options["status"] not in {"won", "lost", "warning_closed", "prevented"}:
        raise ValueError("status must be won, lost, warning_closed or prevented.")
    refunds.close_dispute(dispute, options["status"])
    return dispute


def _refund(options: Obj) -> Obj:
    params = {name: options[name] for name in ("charge", "amount", "reason") if name in options}
    made = refund_api.create_refund(params)
    if options.get("fail"):
        refunds.fail_refund(made)
    return made


def _invoice(options: Obj) -> Obj:
    customer = get("customer", options["customer"])
    return invoices.manual(customer, amount=int(options["amount"]), currency=str(options["currency"]))


def _async(options: Obj) -> Obj:
    if "invoice" in options:
        invoice = get("invoice", options["invoice"])
        collection.finish_processing(invoice, paid=bool(options["paid"]))
        return invoice
    session = get("checkout.session", options["session"])
    checkout_completion.finish_processing(session, paid=bool(options["paid"]))
    return session


def _edit(options: Obj) -> Obj:
    about = get(options["kind"], options["id"])
    about.update(options["fields"])
    if options["kind"] == "subscription":
        subscriptions.schedule(about)
    return about


def _put(options: Obj) -> Obj:
    for made in options["objects"]:
        add(made)
    return {"kept": len(options["objects"])}


def _silent(options: Obj) -> Obj:
    encoded = urlencode(_pairs(options.get("params", {}), ""))
    with events.silence():
        return api.call(options["method"], options["path"], encoded)


def _pairs(value: object, name: str) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for key, inner in value.items() for pair in _pairs(inner, f"{name}[{key}]" if name else key)]
    if isinstance(value, list):
        return [pair for number, inner in enumerate(value) for pair in _pairs(inner, f"{name}[{number}]")]
    if isinstance(value, bool):
        return [(name, "true" if value else "false")]
    return [(name, "" if value is None else str(value))]


def _delete(options: Obj) -> Obj:
    get(options["kind"], options["id"])
    forget(options["kind"], options["id"])
    return {"id": options["id"], "deleted": find(options["kind"], options["id"]) is None}


def _endpoint(options: Obj) -> Obj:
    known = webhooks.endpoint() or {}
    names = ("url", "secret", "version", "status", "events")
    root()["endpoint"] = known | {name: options[name] for name in names if name in options}
    return dict(root()["endpoint"])


def _forget_events(_options: Obj) -> Obj:
    gone = len(root()["events"])
    root().update(events={}, deliveries=[])
    return {"gone": gone}


def _settings(options: Obj) -> Obj:
    known: Obj = root()["settings"]
    if options.get("end", "cancel") not in {"cancel", "unpaid", "past_due"} or set(options) - set(known):
        raise ValueError(f"settings are {', '.join(known)}; end is cancel, unpaid or past_due.")
    known.update(options)
    return known


def _state(_options: Obj) -> Obj:
    counts = {kind: len(table) for kind, table in root()["objects"].items()}
    return {
        "objects": counts,
        "events": len(root()["events"]),
        "deliveries": root()["deliveries"],
        "settings": root()["settings"],
    }


SWITCHES: dict[str, Callable[[Obj], Obj]] = {
    "payments": _payments, "dispute": _dispute, "close_dispute": _close_dispute, "refund": _refund, "async": _async, "invoice": _invoice,
    "edit": _edit, "put": _put, "silent": _silent, "delete": _delete, "endpoint": _endpoint, "forget_events": _forget_events, "settings": _settings, "state": _state,
}  # fmt: skip
