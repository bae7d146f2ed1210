"""What a person sees of the sandbox: the overview, the inbox, and the files they need. Every change is a form to /control/."""

import datetime as dt
import mimetypes
from pathlib import Path
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import path

from apps.sandbox import clock, control, faults, settings
from apps.sandbox.keycloak import groups, realm, users
from apps.sandbox.mailgun import inbox
from apps.sandbox.store import store

FILES = Path(__file__).resolve().parent / "static"
STEPS = ((3_600, "1 hour"), (86_400, "1 day"), (30 * 86_400, "30 days"))
DONE = {
    "clock": "The clock was moved.",
    "faults": "The fault switch was set.",
    "webhooks": "The webhook mode was set.",
    "flush": "The waiting webhooks were delivered.",
    "reset": "The sandbox was reset.",
    "inbox": "The inbox was emptied.",
}


def shell(_request: HttpRequest) -> dict[str, Any]:
    """Template context of every page: the sandbox's address, Frontdesk's, and the sandbox's time."""
    return {"base_url": settings.BASE_URL, "app_url": settings.APP_URL, "clock": clock.now_utc()}


def overview(request: HttpRequest) -> HttpResponse:
    """The front page: what the sandbox is, what state it is in, and its switches."""
    modes = [
        {"peer": peer, "modes": faults.modes_of(peer), "now": store.data["faults"].get(peer)} for peer in faults.PEERS
    ]
    return render(
        request,
        "sandbox/overview.html",
        {
            "done": DONE.get(request.GET.get("done", ""), ""),
            "steps": STEPS,
            "peers": modes,
            "webhook_modes": control.WEBHOOK_MODES,
            "webhook_mode": store.data["webhook_mode"],
            "stripe": _stripe_counts(),
            "subscriptions": _subscriptions(),
            "events": _events(),
            "users": _users(),
            "mails": len(store.data["mails"]),
            "offset_days": round(store.data["clock_offset"] / 86_400, 2),
            "realm_url": realm.url(),
        },
    )


def _stripe_counts() -> list[tuple[str, int]]:
    """How many objects of the telling kinds the Stripe stand-in holds."""
    tables = store.data["stripe"].get("objects", {})
    return [(f"{kind}s", len(tables.get(kind, {}))) for kind in ("customer", "subscription", "invoice")]


def _subscriptions() -> list[dict[str, Any]]:
    """Subscriptions, newest first: email, status, whether they end with the period."""
    tables = store.data["stripe"].get("objects", {})
    customers = tables.get("customer", {})
    return [
        {
            "email": customers.get(row["customer"], {}).get("email", ""),
            "id": row["id"],
            "status": row["status"],
            "ending": row.get("cancel_at_period_end", False),
        }
        for row in list(tables.get("subscription", {}).values())[:-51:-1]
    ]


def _events() -> list[dict[str, Any]]:
    """The last events of the Stripe stand-in, newest first, with the state of their delivery."""
    kept = store.data["stripe"]
    states = {row["event"]: row["state"] for row in kept.get("deliveries", [])}
    return [
        {"type": event["type"], "id": event["id"], "state": states.get(event["id"], "delivered")}
        for event in list(kept.get("events", {}).values())[:-11:-1]
    ]


def _users() -> list[dict[str, Any]]:
    rows = sorted(users.every().values(), key=lambda row: row["username"])
    return [
        row | {"paths": [group["path"] for group in groups.of_user(row)]}
        for row in rows
        if not row["serviceAccountClientId"]
    ]


def mails(request: HttpRequest) -> HttpResponse:
    """The inbox, newest first."""
    to = request.GET.get("to", "")
    rows = [_dated(mail) for mail in inbox.newest_first(to)[:200]]
    return render(
        request, "sandbox/inbox.html", {"mails": rows, "to": to, "done": DONE.get(request.GET.get("done", ""), "")}
    )


def mail(request: HttpRequest, mail_id: str) -> HttpResponse:
    """One mail: its text, and its HTML in a frame that may do nothing."""
    found = inbox.find(mail_id)
    if found is None:
        raise Http404
    return render(request, "sandbox/mail.html", {"mail": _dated(found)})


def mail_html(_request: HttpRequest, mail_id: str) -> HttpResponse:
    """The HTML part of a mail, for the frame; links open in a new tab, scripts never run."""
    found = inbox.find(mail_id)
    if found is None:
        raise Http404
    response = HttpResponse(f'<base target="_blank">{found["html"]}')
    response["Content-Security-Policy"] = (
        "default-src 'none'; img-src data: http: https:; style-src 'unsafe-inline'; "
        "sandbox allow-popups allow-popups-to-escape-sandbox"
    )
    return response


def _dated(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"when": dt.datetime.fromtimestamp(row["at"], tz=dt.UTC)}


def inbox_json(request: HttpRequest) -> HttpResponse:
    """GET /inbox.json?to=…: the mails, newest first; DELETE empties the inbox."""
    if request.method == "DELETE":
        return JsonResponse({"cleared": inbox.clear()})
    return JsonResponse(inbox.newest_first(request.GET.get("to", "")), safe=False)


def static(_request: HttpRequest, name: str) -> HttpResponse:
    """The sandbox's own files; nothing outside their folder."""
    folder = FILES
    if "\0" in name:
        raise Http404
    file = (folder / name).resolve()
    if not file.is_relative_to(folder) or not file.is_file():
        raise Http404
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    response = HttpResponse(file.read_bytes(), content_type=kind)
    response["Cache-Control"] = "no-cache"
    return response


# Files are the same whatever the state is.
static.unlocked = True  # type: ignore[attr-defined]

urlpatterns = [
    path("", overview),
    path("inbox/", mails),
    path("inbox/<str:mail_id>/", mail),
    path("inbox/<str:mail_id>/html", mail_html),
    path("inbox.json", inbox_json),
    path("static/<path:name>", static),
    path("favicon.ico", static, {"name": "sandbox/icon.svg"}),
    path("control/clock", control.the_clock),
    path("control/faults", control.the_faults),
    path("control/webhooks", control.the_webhooks),
    path("control/webhooks/flush", control.flush_webhooks),
    path("control/reset", control.reset),
    path("control/save", control.save),
    path("control/mark", control.mark),
    path("control/return", control.return_to_mark),
    path("control/mailgun", control.the_mailgun),
    path("control/nextcloud", control.the_nextcloud),
    path("control/receiver", control.the_receiver),
    path("control/immich", control.the_immich),
    path("control/inbox", control.clear_inbox),
    path("control/keycloak/keys", control.rotate_keys),
]
