"""What every request gets (id, log context, headers), who is asking, and how JSON APIs read and refuse input.

A request that is refused is logged once, by Django; what `note_refusal` was told stands in that line. A security event is that
line too, or one of its own where the request was not refused.
"""

import functools
import json
import re
import uuid
from collections.abc import Callable
from typing import Any

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed, JsonResponse
from django.utils.translation import gettext as _

from apps.core import origins, security_events
from apps.core.errors import BadInput
from apps.core.networks import visitor_of

log = structlog.get_logger(__name__)

MAX_JSON_BYTES = 16 * 1024
MAX_JSON_DEPTH = 6
MAX_EVENT_BYTES = 256 * 1024  # of what Stripe and Mailgun post
RETRY_AFTER = {429: "60", 503: "30"}  # seconds, on each refusal that asks to wait
REQUEST_ID = "X-Request-ID"
GIVEN_ID = re.compile(rf"(?!{origins.RUN_ID})[A-Za-z0-9_-]{{16,{origins.LONGEST}}}")
SAFE = ("GET", "HEAD", "OPTIONS")  # they change nothing
# No page and no API here has another method. All others are refused at once: Django's admin would answer them like a GET.
METHODS = (*SAFE, "POST")
API = "/api/"  # its views refuse other methods themselves, as JSON
# On every answer, static files and refusals too; a view or a middleware that says more wins.
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), usb=()",
    "Referrer-Policy": "strict-origin",
    "Server": "frontdesk",  # else granian names itself
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def request_context(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Django middleware: binds a request id to the logs and gives it back, adds the headers every answer carries, forbids caching, refuses unused methods."""

    def serve(request: HttpRequest) -> HttpResponse:
        structlog.contextvars.clear_contextvars()
        request_id = _name_of(request)
        structlog.contextvars.bind_contextvars(request_id=request_id)
        security_events.forget()
        known = request.method in METHODS or request.path_info.startswith(API)
        response = get_response(request) if known else HttpResponseNotAllowed(METHODS)
        found = security_events.noted()
        if found and not 400 <= response.status_code < 500:  # those are logged by Django, see apps/core/logs.py
            log.warning(**found)
        _say_methods(response)
        response.headers[REQUEST_ID] = request_id
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    return serve


def _name_of(request: HttpRequest) -> str:
    """The id that a trusted proxy has given the request, where it has the form of one; else a new one."""
    given = request.headers.get(REQUEST_ID, "")
    return given if settings.TRUSTED_PROXY_COUNT and GIVEN_ID.fullmatch(given) else uuid.uuid4().hex


def note_refusal(reason: str) -> None:
    """Have the line about this request say why it was refused."""
    structlog.contextvars.bind_contextvars(refused=reason)


def client_address(request: HttpRequest) -> str:
    """The visitor's address as the last trusted proxy saw it; an IPv6 one as its /64, unless it carries an IPv4 one. Never raises."""
    return visitor_of(remote_address(request))


def remote_address(request: HttpRequest) -> str:
    """The visitor's whole address, as the last trusted proxy wrote it; it may be no valid one."""
    found = request.META.get("REMOTE_ADDR", "")
    if settings.TRUSTED_PROXY_COUNT:
        hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
        if len(hops) >= settings.TRUSTED_PROXY_COUNT:
            found = hops[-settings.TRUSTED_PROXY_COUNT]
    return str(found)


def read_event_body(request: HttpRequest) -> bytes:
    """The raw body of a webhook; BadInput (413) when it says it is, or turns out, larger than MAX_EVENT_BYTES."""
    length = request.headers.get("Content-Length") or "0"
    if not is_number(length) or int(length) > MAX_EVENT_BYTES:
        raise BadInput("The body is too large.", code="too_large", status=413)
    body = request.read(MAX_EVENT_BYTES + 1)
    if len(body) > MAX_EVENT_BYTES:
        raise BadInput("The body is too large.", code="too_large", status=413)
    return body


def row_number(value: str) -> int:
    """The number of a row that a form names; 0, which no row has, for anything else."""
    return int(value) if is_number(value) else 0


def is_number(value: str) -> bool:
    """Whether `int` will take it: not superscripts, not so many digits that Python refuses."""
    return value.isascii() and value.isdigit() and len(value) <= 12


def refuse(refusal: BadInput) -> JsonResponse:
    """The answer of a JSON API to what it refuses: `{"error": {"message", "field", "code"}}`, with its status."""
    error = {"message": refusal.message, "field": refusal.field, "code": refusal.code} | refusal.details
    wait = {"Retry-After": RETRY_AFTER[refusal.status]} if refusal.status in RETRY_AFTER else {}
    return JsonResponse({"error": error}, status=refusal.status, headers=wait)


def _say_methods(response: HttpResponse) -> None:
    """Django's own 405 says nothing: have it name the methods."""
    if isinstance(response, HttpResponseNotAllowed) and not response.content:
        response.content = refuse(_wrong_method(response.headers["Allow"])).content
        response.headers["Content-Type"] = "application/json"


def _wrong_method(allowed: str) -> BadInput:
    return BadInput(f"Use {' or '.join(allowed.split(', '))}.", code="method", status=405)


def json_api(view: Callable[..., dict[str, Any]]) -> Callable[..., HttpResponseBase]:
    """A POST-only JSON view: `view(request, body, …)` gets a checked dict and returns one. `refuse` answers for its BadInput."""

    @functools.wraps(view)
    def serve(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method != "POST":
            answer = refuse(_wrong_method("POST"))
            answer.headers["Allow"] = "POST"
            return answer
        try:
            return JsonResponse(view(request, read_json(request), *args, **kwargs))
        except BadInput as refusal:
            note_refusal(refusal.code)
            return refuse(refusal)

    return serve


def speaks_json(request: HttpRequest) -> bool:
    """Whether who asks is a script, by what it sends, wants or asks (clear_text.py marks the views that scripts ask)."""
    says_so = request.content_type == "application/json" or "application/json" in request.headers.get("Accept", "")
    return says_so or hasattr(getattr(request.resolver_match, "func", None), "for_programs")


def is_form_only(request: HttpRequest) -> bool:
    """Whether the view of this request takes POST alone: `require_http_methods` keeps what it was given in its closure."""
    view = request.resolver_match.func if request.resolver_match else None
    while view is not None:
        code, cells = getattr(view, "__code__", None), getattr(view, "__closure__", None) or ()
        kept = dict(zip(code.co_freevars if code else (), cells, strict=False))
        if "request_method_list" in kept:
            return bool(kept["request_method_list"].cell_contents == ["POST"])
        view = getattr(view, "__wrapped__", None)
    return False


def read_json(request: HttpRequest) -> dict[str, Any]:
    """The body as a JSON object; BadInput when it is too large, no JSON object, ambiguous, too deep or holds a NUL.

    Of another kind it is not looked at: a form with files cannot be read twice, and the CSRF check has read it.
    """
    if request.content_type != "application/json":
        raise BadInput("The request must be application/json.", code="json_type", status=415)
    said = request.headers.get("Content-Length") or "0"
    if said.isdecimal() and int(said[:20]) > MAX_JSON_BYTES:
        raise BadInput("That is too much data.", code="too_large", status=413)
    if len(request.body) > MAX_JSON_BYTES:
        raise BadInput("That is too much data.", code="too_large", status=413)
    try:
        body = json.loads(request.body, object_pairs_hook=_unambiguous)
    except (ValueError, RecursionError) as error:
        raise BadInput("The request is not valid JSON.", code="json") from error
    if not isinstance(body, dict):
        raise BadInput("The request must be a JSON object.", code="json")
    _check(body, MAX_JSON_DEPTH)
    return body


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two fields with one name, one reader takes the first and another the last: refused."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field twice")
    return found


def _check(value: Any, depth: int) -> None:
    """Refuse nesting beyond `depth` and text that Postgres cannot store (NUL, lone surrogates)."""
    if depth == 0:
        raise BadInput("The request is nested too deeply.", code="json")
    if isinstance(value, dict):
        for key, item in value.items():
            _check(key, depth)
            _check(item, depth - 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth - 1)
    elif isinstance(value, str) and ("\x00" in value or not _encodable(value)):
        raise BadInput("The request holds characters that cannot be stored.", code="characters")


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def text_field(body: dict[str, Any], name: str, *, limit: int = 200, required: bool = True) -> str:
    """The text `name` of a JSON body, stripped; BadInput names the field when it is missing, no text or, as it was sent, too long."""
    value = body.get(name, "")
    if not isinstance(value, str):
        raise BadInput(f"“{name}” must be text.", field=name)
    if required and not value.strip():
        raise BadInput(_("Please fill this in."), field=name, code="required")
    if len(value) > limit:
        raise BadInput(_("Please use at most {limit} characters.").format(limit=limit), field=name, code="too_long")
    return value.strip()


def storable(text: str) -> str:
    """Form text without NULs, which Postgres cannot compare, cut to the length of our longest field."""
    return text.replace("\x00", "")[:300].strip()
