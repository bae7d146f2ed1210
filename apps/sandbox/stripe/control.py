"""Switches for tests and demos: POST JSON to `/stripe/_control/<name>`; answers JSON, 400 with "error" when it cannot.

payments {"customer", "mode": "fail"|"ok"}           every later charge without the customer present fails, or works again
dispute {"charge", "inquiry"?, "reason"?}            open a dispute
close_dispute {"dispute", "status": "won"|"lost"|"warning_closed"|"prevented"}
refund {"charge", "amount"?, "fail"?}                refund as if from Stripe's dashboard; "fail": the bank then refuses it
async {"session", "paid": true|false}                the bank's answer to a debit that was processing
edit {"kind", "id", "fields": {...}}                 change an object with no event at all
silent {"method", "path", "params": {...}}           make an API call whose events are lost before they exist
delete {"kind", "id"}                                remove an object without a trace
endpoint {"url", "secret"}                           deliver events there instead of to the configured address
resend {"event"}                                     deliver an event once more
settings {"retry_days"?: [..], "end"?: "cancel"|"unpaid"|"past_due", "draft_seconds"?}
state {}                                             counts of objects, waiting deliveries, settings
"""

import json
from collections.abc import Callable
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, JsonResponse

from apps.sandbox.stripe import api, checkout_completion, events, refund_api, refunds, subscriptions, webhooks
from apps.sandbox.stripe.errors import ApiError
from apps.sandbox.stripe.records import Obj, find, forget, get, private, root


def serve(request: HttpRequest, name: str) -> HttpResponse:
    """Turn one switch."""
    switch = SWITCHES.get(name)
    if switch is None or request.method != "POST":
        return JsonResponse({"error": f"POST one of: {', '.join(SWITCHES)}"}, status=404)
    try:
        wish = json.loads(request.body or b"{}")
        return JsonResponse(switch(wish))
    except ApiError as problem:
        return JsonResponse({"error": problem.error["message"]}, status=400)
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        return JsonResponse({"error": f"{type(problem).__name__}: {problem}"}, status=400)


def _payments(wish: Obj) -> Obj:
    get("customer", wish["customer"])
    if wish["mode"] not in {"fail", "ok"}:
        raise ValueError("mode must be fail or ok.")
    private(wish["customer"])["payments"] = wish["mode"]
    return {"customer": wish["customer"], "mode": wish["mode"]}


def _dispute(wish: Obj) -> Obj:
    charge = get("charge", wish["charge"])
    return refunds.open_dispute(charge, inquiry=bool(wish.get("inquiry")), reason=wish.get("reason", "fraudulent"))


def _close_dispute(wish: Obj) -> Obj:
    dispute = get("dispute", wish["dispute"])
    if wish["status"] not in {"won", "lost", "warning_closed", "prevented"}:
        raise ValueError("status must be won, lost, warning_closed or prevented.")
    refunds.close_dispute(dispute, wish["status"])
    return dispute


def _refund(wish: Obj) -> Obj:
    params = {name: wish[name] for name in ("charge", "amount", "reason") if name in wish}
    made = refund_api.create_refund(params)
    if wish.get("fail"):
        refunds.fail_refund(made)
    return made


def _async(wish: Obj) -> Obj:
    session = get("checkout.session", wish["session"])
    checkout_completion.settle(session, paid=bool(wish["paid"]))
    return session


def _edit(wish: Obj) -> Obj:
    about = get(wish["kind"], wish["id"])
    about.update(wish["fields"])
    if wish["kind"] == "subscription":
        subscriptions.schedule(about)
    return about


def _silent(wish: Obj) -> Obj:
    encoded = urlencode(_pairs(wish.get("params", {}), ""))
    with events.silence():
        return api.call(wish["method"], wish["path"], encoded)


def _pairs(value: object, name: str) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for key, inner in value.items() for pair in _pairs(inner, f"{name}[{key}]" if name else key)]
    if isinstance(value, list):
        return [pair for number, inner in enumerate(value) for pair in _pairs(inner, f"{name}[{number}]")]
    if isinstance(value, bool):
        return [(name, "true" if value else "false")]
    return [(name, "" if value is None else str(value))]


def _delete(wish: Obj) -> Obj:
    get(wish["kind"], wish["id"])
    forget(wish["kind"], wish["id"])
    return {"id": wish["id"], "deleted": find(wish["kind"], wish["id"]) is None}


def _endpoint(wish: Obj) -> Obj:
    root()["endpoint"] = {"url": str(wish["url"]), "secret": str(wish["secret"])}
    return dict(root()["endpoint"])


def _resend(wish: Obj) -> Obj:
    return {"deliveries": webhooks.resend(wish["event"])}


def _settings(wish: Obj) -> Obj:
    known: Obj = root()["settings"]
    if wish.get("end", "cancel") not in {"cancel", "unpaid", "past_due"} or set(wish) - set(known):
        raise ValueError(f"settings are {', '.join(known)}; end is cancel, unpaid or past_due.")
    known.update(wish)
    return known


def _state(_wish: Obj) -> Obj:
    counts = {kind: len(table) for kind, table in root()["objects"].items()}
    return {
        "objects": counts,
        "events": len(root()["events"]),
        "deliveries": root()["deliveries"],
        "settings": root()["settings"],
    }


SWITCHES: dict[str, Callable[[Obj], Obj]] = {
    "payments": _payments, "dispute": _dispute, "close_dispute": _close_dispute, "refund": _refund, "async": _async,
    "edit": _edit, "silent": _silent, "delete": _delete, "endpoint": _endpoint, "resend": _resend, "settings": _settings, "state": _state,
}  # fmt: skip
