"""The sandbox's fault switches: one fault at a time for each peer, kept in the store, acted out around each request.

`POST /control/faults` sets a fault (see `switch`). Modes that stand in for a peer's own misbehaviour (attributes
dropped, mails that fail) are only announced here; the peer's view asks `mode(request)` and acts them out.
"""

import re
import socket
import time
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase

from apps.sandbox.store import store

PRODUCTS = ("nextcloud", "immich")
PEERS = ("stripe", "keycloak", "mailgun", *PRODUCTS, "receiver")
WRITES = ("POST", "PUT", "PATCH", "DELETE")
ANY = ("GET", "HEAD", *WRITES)
STATUS = {
    "http_400": 400,
    "http_401": 401,
    "http_403": 403,
    "http_410": 410,
    "http_422": 422,
    "http_429": 429,
    "http_500": 500,
    "http_503": 503,
}
LONGEST_DELAY_MS = 600_000


@dataclass(frozen=True)
class Mode:
    """Which requests a mode touches when the switch does not say: methods, and a pattern of the path."""

    says: str
    methods: tuple[str, ...] = ANY
    path: str = ""
    peers: tuple[str, ...] = PEERS


ADMIN = r"^/(?!keycloak/)|^/keycloak/admin/"
USER = r"^/keycloak/admin/realms/[^/]+/users/[^/]+/?$"
MODES: dict[str, Mode] = {
    "down": Mode("the connection is cut before anything is done"),
    "slow": Mode("the answer comes delay_ms later (30,000 when not given)"),
    "http_400": Mode("answers 400", path=ADMIN),
    "http_401": Mode("answers 401", path=ADMIN),
    "http_403": Mode("answers 403", path=ADMIN),
    "http_410": Mode("answers 410: nobody receives here any more", peers=("receiver",)),
    "http_422": Mode("answers 422: it does not take this message", peers=("receiver",)),
    "http_429": Mode("answers 429"),
    "http_500": Mode("answers 500, nothing done"),
    "http_503": Mode("answers 503, nothing done"),
    "lost_answer": Mode("writes are done, then the connection is cut", WRITES, ADMIN),
    "500_after_commit": Mode("writes are done, then answered with 500", WRITES, ADMIN),
    "stored_500": Mode(
        "writes are answered 500, nothing done, and so is every repetition with the same Idempotency-Key",
        ("POST",),
        r"^/stripe/v1/",
        ("stripe",),
    ),
    "empty_list": Mode("every list is empty", ("GET",), ADMIN, ("stripe", "keycloak")),
    "drop_attributes": Mode(
        "new attribute values are silently not stored",
        ("POST", "PUT"),
        r"^/keycloak/admin/realms/[^/]+/users(/[^/]+)?/?$",
        ("keycloak",),
    ),
    "put_wipes": Mode("PUT removes attributes it did not change", ("PUT",), USER, ("keycloak",)),
    "lost_update": Mode("PUT answers 204 and stores nothing", ("PUT",), USER, ("keycloak",)),
    "quota_ignored": Mode("a new quota is answered 200 and not stored", ("PUT",), r"/users/[^/]+$", PRODUCTS),
    "no_rights": Mode("our account is no administrator any more, and sees only itself", peers=PRODUCTS),
    "removal_stuck": Mode("a forced deletion is accepted, and never finished", ("DELETE",), "", ("immich",)),
    "silent": Mode("takes what it is told, and answers 204", peers=("receiver",)),
    "order_ignored": Mode("answers 200 to an order and keeps what was there", peers=("receiver",)),
    "echo": Mode("answers 200 with all it was sent", peers=("receiver",)),
    "malformed": Mode("answers 200 with an account of another form", peers=("receiver",)),
    "redirect": Mode("answers 307 with another address", peers=("receiver",)),
    "endless": Mode("answers 200, byte by byte, and never ends", peers=("receiver",)),
    "doubled_values": Mode("PUT stores new values beside old ones", ("PUT",), USER, ("keycloak",)),
    "logout_fails": Mode("logging a user out answers 500", ("POST",), r"/users/[^/]+/logout/?$", ("keycloak",)),
    "mail_fails": Mode(
        "Keycloak's own mails fail with 500",
        ("PUT",),
        r"/users/[^/]+/(execute-actions|send-verify)-email/?$",
        ("keycloak",),
    ),
    "refuse": Mode("the mail is refused with 400", ("POST",), "", ("mailgun",)),
    "accept_then_lose": Mode("the mail is accepted, then the connection is cut", ("POST",), "", ("mailgun",)),
}


def modes_of(peer: str) -> list[str]:
    """The names of the modes `peer` can be switched to, "ok" first."""
    return ["ok", *(name for name, mode in MODES.items() if peer in mode.peers)]


def switch(options: dict[str, Any]) -> dict[str, Any]:
    """Set or clear (mode "ok") one peer's fault. ValueError with a sentence when the options are not understood.

    Keys: peer, mode; every (each n-th request touched, default 1), delay_ms, times (touch so many, then clear),
    path (only paths that contain it), method, says (a text that the error repeats, as real ones repeat what they were sent).
    """
    peer, name = options.get("peer"), options.get("mode")
    if peer not in PEERS:
        raise ValueError(f"peer must be one of {', '.join(PEERS)}.")
    if name not in modes_of(peer):
        raise ValueError(f"mode for {peer} must be one of {', '.join(modes_of(peer))}.")
    fault = {
        "peer": peer,
        "mode": name,
        "every": _whole(options, "every", default=1, low=1, high=1_000_000),
        "delay_ms": _whole(options, "delay_ms", default=0, low=0, high=LONGEST_DELAY_MS),
        "times": _whole(options, "times", default=0, low=0, high=1_000_000),
        "path": _text(options, "path"),
        "method": _text(options, "method").upper(),
        "says": _text(options, "says"),
        "seen": 0,
        "hit": 0,
    }
    if name == "ok":
        store.data["faults"].pop(peer, None)
    else:
        store.data["faults"][peer] = fault
    return fault


def _whole(options: dict[str, Any], key: str, *, default: int, low: int, high: int) -> int:
    value = options.get(key)
    if value is None or value == "":
        return default
    if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{key} must be a whole number from {low} to {high}.")
    return value


def _text(options: dict[str, Any], key: str) -> str:
    value = options.get(key) or ""
    if not isinstance(value, str):
        raise ValueError(f"{key} must be a text.")  # noqa: TRY004  one kind of error for the control API
    return value


def take(request: HttpRequest) -> dict[str, Any] | None:
    """The fault that touches this request, counted, or None. The caller holds the store's lock."""
    fault = store.data["faults"].get(request.path.split("/")[1])
    if fault is None or not _touches(fault, request):
        return None
    fault["seen"] += 1
    if fault["seen"] % fault["every"]:
        return None
    fault["hit"] += 1
    if fault["times"] and fault["hit"] >= fault["times"]:
        del store.data["faults"][fault["peer"]]
    request.META["sandbox.fault"] = fault["mode"]
    return dict(fault)


def _touches(fault: dict[str, Any], request: HttpRequest) -> bool:
    mode = MODES[fault["mode"]]
    methods = (fault["method"],) if fault["method"] else mode.methods
    if request.method not in methods:
        return False
    if fault["path"]:
        return fault["path"] in request.get_full_path()
    return re.search(mode.path, request.path) is not None


def mode(request: HttpRequest) -> str:
    """The mode a view has to act out itself for this request; empty when none."""
    return str(request.META.get("sandbox.fault", ""))


def before(request: HttpRequest, fault: dict[str, Any] | None) -> HttpResponse | None:
    """What happens instead of the view: a wait, a cut, an error answer. None: go on."""
    if fault is None:
        return None
    name = fault["mode"]
    time.sleep((fault["delay_ms"] or (30_000 if name == "slow" else 0)) / 1000)
    if name == "down":
        return _cut(request)
    if name in STATUS:
        return error(peer=fault["peer"], status=STATUS[name], says=fault["says"])
    if name == "refuse":
        return JsonResponse({"message": f"to parameter is not a valid address. {fault['says']}".strip()}, status=400)
    return None


def after(request: HttpRequest, fault: dict[str, Any] | None, response: HttpResponseBase) -> HttpResponseBase:
    """What becomes of the view's answer."""
    if fault is None:
        return response
    name = fault["mode"]
    if name in {"lost_answer", "accept_then_lose"}:
        return _cut(request)
    if name == "500_after_commit":
        return error(peer=fault["peer"], status=500)
    if name == "empty_list" and response.status_code == 200:
        return _emptied(response)
    return response


def _emptied(response: HttpResponseBase) -> HttpResponseBase:
    content = getattr(response, "content", b"").lstrip()
    if content.startswith(b"["):
        return JsonResponse([], safe=False)
    if content.startswith(b"{") and b'"object": "list"' in content[:200]:
        return JsonResponse({"object": "list", "data": [], "has_more": False, "url": ""})
    return response


def error(*, peer: str, status: int, says: str = "") -> HttpResponse:
    """An error answer in the shape the peer itself uses for it; `says` is repeated in it."""
    words = {
        400: "Bad Request",
        401: "Unauthorized",
        403: "Forbidden",
        410: "Gone",
        422: "Unprocessable Content",
        429: "Too Many Requests",
        500: "Internal Server Error",
        503: "Service Unavailable",
    }[status]
    if peer == "stripe":
        kind = dict.fromkeys((400, 401, 403), "invalid_request_error")
        message = f"Sandbox fault: {words}. {says}".strip()
        body: dict[str, Any] = {"error": {"type": kind.get(status, "api_error"), "message": message}}
        if status == 429:
            body["error"] = {
                "type": "invalid_request_error",
                "code": "rate_limit",
                "message": "Too many requests hit the API too quickly.",
            }
    elif peer in ("mailgun", "immich"):
        body = {"message": f"{words} {says}".strip()}
    elif peer == "nextcloud":
        meta = {"status": "failure", "statuscode": {401: 997, 500: 996}.get(status, status), "message": says or words}
        body = {"ocs": {"meta": meta, "data": []}}
    elif status == 500:
        body = {"error": "unknown_error", "error_description": "For more on this error consult the server log."}
    elif says:
        body = {"errorMessage": says}
    else:
        body = {"error": f"HTTP {status} {words}"}
    response = JsonResponse(body, status=status)
    if status in {429, 503}:
        response["Retry-After"] = "1"
    return response


def connection(request: HttpRequest) -> socket.socket | None:
    """The TCP connection a request came in by; None where there is none (tests without a server)."""
    reader = getattr(getattr(request.META.get("wsgi.input"), "_read", None), "__self__", None)
    found: socket.socket | None = getattr(getattr(reader, "raw", None), "_sock", None)
    return found


def _cut(request: HttpRequest) -> HttpResponse:
    """Cut the connection under the answer; the server's handler finds it broken and says nothing."""
    line = connection(request)
    if line is not None:
        line.shutdown(socket.SHUT_RDWR)
    return HttpResponse(status=503)
