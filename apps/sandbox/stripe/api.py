"""The API's front door: key, version, idempotency, parameters, expansion and error bodies, the same for every address.

A resource module registers its addresses with `route`; its function gets the checked parameters and the ids of the
address and returns an object (dict) or raises ApiError. Views run under the store's lock, so each request is atomic.
"""

import base64
import binascii
import hashlib
import json
import logging
import re
from collections.abc import Callable
from urllib.parse import unquote

from django.http import HttpRequest, HttpResponse

from apps.sandbox import faults
from apps.sandbox.store import store
from apps.sandbox.stripe import events, expansion, forms, scheduler, timeline
from apps.sandbox.stripe.errors import ApiError, invalid
from apps.sandbox.stripe.records import API_VERSION, Obj, random_text, root
from apps.sandbox.stripe.rights import check_right
from apps.sandbox.stripe.routing import ROUTES

KEY = re.compile(r"(sk|rk)_test_[A-Za-z0-9]{24,}")
VERSION = re.compile(r"\d{4}-\d{2}-\d{2}\.dahlia")
KEPT_SECONDS = 86_400
logger = logging.getLogger(__name__)


def serve(request: HttpRequest, path: str) -> HttpResponse:
    """Answer one call of `/v1/<path>`."""
    request_id = "req_" + random_text(14)
    key = request.headers.get("Idempotency-Key") if request.method == "POST" else None
    with store.lock, events.caused_by(request_id=request_id, idempotency_key=key):
        status, body, replayed = _answer(request, "/v1/" + path, key)
    response = HttpResponse(body, status=status, content_type="application/json")
    response["Request-Id"] = request_id
    response["Stripe-Version"] = request.headers.get("Stripe-Version", API_VERSION)
    if key:
        response["Idempotency-Key"] = key
    if replayed:
        response["Idempotent-Replayed"] = "true"
        response["Original-Request"] = request_id
    return response


def _answer(request: HttpRequest, path: str, key: str | None) -> tuple[int, str, bool]:
    """(status, body, replayed)"""
    try:
        _authenticate(request)
        _check_version(request)
        encoded = _encoded(request)
        known = _remembered(key, path, encoded)
        if known is not None:
            return known["status"], known["body"], True
        if faults.mode(request) == "stored_500":
            return _failed(path, key, encoded)
        scheduler.catch_up()
        status, body, keep = _execute(request.method or "GET", path, encoded)
        if key and keep:
            _remember(key, path, encoded, status, body)
    except ApiError as problem:
        return problem.status, json.dumps({"error": problem.error}), False
    return status, body, False


def _failed(path: str, key: str | None, encoded: str) -> tuple[int, str, bool]:
    """The fault "stored_500": a failure of Stripe's own, which it keeps for the key like any other answer."""
    body = json.dumps({"error": {"message": "Sandbox fault: an error on Stripe's side.", "type": "api_error"}})
    if key:
        _remember(key, path, encoded, 500, body)
    return 500, body, False


def _authenticate(request: HttpRequest) -> None:
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            value = base64.b64decode(value, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            value = ""
    if not value:
        raise ApiError(
            401,
            "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
        )
    if not KEY.fullmatch(value):
        raise ApiError(401, f"Invalid API Key provided: {value[:8]}{'*' * 8}{value[-4:]}", code="api_key_invalid")


def _check_version(request: HttpRequest) -> None:
    version = request.headers.get("Stripe-Version", API_VERSION)
    if not VERSION.fullmatch(version):
        raise invalid(f"Invalid Stripe API version: {version}. This sandbox speaks {API_VERSION}.")


def _encoded(request: HttpRequest) -> str:
    query = request.META.get("QUERY_STRING", "")
    if request.method == "GET":
        return str(query)
    try:
        body = request.body.decode()
    except UnicodeDecodeError as error:
        raise invalid("Invalid request: the body is not UTF-8.") from error
    return "&".join(part for part in (query, body) if part)


def _fingerprint(path: str, encoded: str) -> str:
    return hashlib.sha256(f"{path}?{'&'.join(sorted(encoded.split('&')))}".encode()).hexdigest()


def _remembered(key: str | None, path: str, encoded: str) -> Obj | None:
    if not key:
        return None
    if len(key) > 255:
        raise invalid("Idempotency-Key must be at most 255 characters.")
    known: Obj | None = root()["idempotency"].get(key)
    if known is None or known["at"] < timeline.now() - KEPT_SECONDS:
        return None
    if known["fingerprint"] != _fingerprint(path, encoded):
        message = f"Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than '{key}' if you meant to execute a different request."
        raise ApiError(400, message, kind="idempotency_error")
    return known


def _remember(key: str, path: str, encoded: str, status: int, body: str) -> None:
    kept = {"at": timeline.now(), "fingerprint": _fingerprint(path, encoded), "status": status, "body": body}
    root()["idempotency"][key] = kept


def _execute(method: str, path: str, encoded: str) -> tuple[int, str, bool]:
    """(status, body, whether an Idempotency-Key keeps it)"""
    operation, handler, ids = _find(method, path)
    check_right(right_for(operation))
    params = forms.read(encoded, operation)
    paths = params.pop("expand", [])
    try:
        answer = handler(params, *ids)
        return 200, json.dumps(expansion.expanded(answer, paths)), True
    except ApiError as problem:
        return problem.status, json.dumps({"error": problem.error}), problem.saved
    except Exception:
        logger.exception("%s %s", method, path)
        message = "An unknown error occurred in the sandbox; its log has the trace."
        return 500, json.dumps({"error": {"message": message, "type": "api_error"}}), True


def right_for(operation: str) -> str:
    """The right of a restricted key that an operation needs: Stripe's own name, as far as it follows the address."""
    method, path = operation.split(" ")
    collection = path.removeprefix("/v1/").split("/{")[0].removesuffix("/search").removesuffix("/create_preview")
    return f"{collection.replace('/', '_').removesuffix('s')}_{'read' if method == 'GET' else 'write'}"


def call(method: str, path: str, encoded: str) -> Obj:
    """Make a call without key, version or idempotency; ApiError as the handler raises it."""
    operation, handler, ids = _find(method, path)
    params = forms.read(encoded, operation)
    return handler(params, *ids)


def _find(method: str, path: str) -> tuple[str, Callable[..., Obj], tuple[str, ...]]:
    for route in ROUTES:
        parts = route.pattern.fullmatch(path) if route.method == method else None
        if parts is not None:
            return route.operation, route.handler, tuple(unquote(part) for part in parts.groups())
    raise ApiError(
        404,
        f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we can help at https://support.stripe.com/.",
    )
