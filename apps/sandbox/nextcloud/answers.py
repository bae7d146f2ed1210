"""How a Nextcloud answers at /ocs/v2.php: the envelope, XML unless JSON is asked for, and who may ask.

Rude as the real one: without the header OCS-APIRequest the answer is 412 and no envelope at all; ten wrong passwords in a row
and it throttles everybody with that name; ids, numbers and empty lists come as PHP writes them.
"""

import base64
import hashlib
from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

from django.http import HttpRequest, HttpResponse, JsonResponse

from apps.sandbox import faults
from apps.sandbox.nextcloud_account import ADMIN, APP_PASSWORD
from apps.sandbox.products import server_of

PATIENCE = 10  # wrong passwords before it throttles
View = Callable[..., HttpResponse]


class RefusedError(Exception):
    """An answer other than "ok", by OCS's own code."""

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(f"{code} {message}")
        self.code, self.message = code, message


def host_of(name: str) -> dict[str, Any]:
    """The state of one Nextcloud; every name is one, with its first administrator."""
    return server_of("nextcloud", name, _fresh)


def _fresh(name: str) -> dict[str, Any]:
    digest = hashlib.sha256(name.encode()).hexdigest()
    return {"users": {}, "groups": ["admin"], "failed_logins": 0, "instance_id": f"oc{digest[:10]}"}


def for_admins(view: View) -> View:
    """A view of the API: checks who asks, calls `view(request, host, ...)`, and puts what it returns into the envelope."""

    def answer(request: HttpRequest, host: str, **parts: str) -> HttpResponse:
        if request.headers.get("OCS-APIRequest", "").lower() != "true":
            return JsonResponse({"message": "CSRF check failed"}, status=412)
        state = host_of(host)
        if state["failed_logins"] >= PATIENCE:
            return JsonResponse({"message": "Reached maximum delay"}, status=429)
        if not _may(request):
            state["failed_logins"] += 1
            return envelope(request, 997, "Current user is not logged in")
        state["failed_logins"] = 0
        try:
            _refuse_without_rights(request, parts.get("user_id", ""))
            return envelope(request, 200, "OK", view(request, state, **parts))
        except RefusedError as refused:
            return envelope(request, refused.code, refused.message)

    answer.csrf_exempt = True  # type: ignore[attr-defined]
    return answer


def own_folder(request: HttpRequest, host: str, user_id: str) -> HttpResponse:
    """WebDAV: what a PROPFIND says of the folder of our own account, its number with the server's id behind it."""
    if not _may(request):
        return HttpResponse(status=401)
    if request.method != "PROPFIND":
        return HttpResponse(status=405)
    if user_id != ADMIN:
        return HttpResponse(status=404)
    number = f"00000002{host_of(host)['instance_id']}"
    found = f"<d:propstat><d:prop><oc:id>{number}</oc:id></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>"
    names = 'xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns"'
    body = f"<d:response><d:href>{escape(request.path)}</d:href>{found}</d:response>"
    xml = f'<?xml version="1.0"?>\n<d:multistatus {names}>{body}</d:multistatus>'
    return HttpResponse(xml, status=207, content_type="application/xml; charset=utf-8")


own_folder.csrf_exempt = True  # type: ignore[attr-defined]


def _refuse_without_rights(request: HttpRequest, user_id: str) -> None:
    """An account that administers nothing sees itself; of others it hears that there are none, and it may do nothing."""
    if faults.mode(request) != "no_rights" or request.path.endswith("/cloud/user"):
        return
    is_one_user = bool(user_id) and request.path.endswith(f"/users/{user_id}") and request.method in ("GET", "PUT")
    raise RefusedError(998) if is_one_user else RefusedError(403, "Logged in account must be at least a sub admin")


def _may(request: HttpRequest) -> bool:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    try:
        return scheme.lower() == "basic" and base64.b64decode(value).decode() == f"{ADMIN}:{APP_PASSWORD}"
    except ValueError:
        return False


def envelope(request: HttpRequest, code: int, message: str, data: Any = None) -> HttpResponse:
    """The answer with OCS's code in it, and the HTTP status that version 2 makes of it."""
    meta = {"status": "ok" if code == 200 else "failure", "statuscode": code, "message": message}
    body = {"meta": meta, "data": [] if data is None else data}
    if _wants_json(request):
        return JsonResponse({"ocs": body}, status=_http_status(code))
    xml = f'<?xml version="1.0"?>\n<ocs>{_as_xml(body)}</ocs>\n'
    return HttpResponse(xml, status=_http_status(code), content_type="application/xml; charset=utf-8")


def _wants_json(request: HttpRequest) -> bool:
    asked = request.GET.get("format", "")
    return asked == "json" if asked else "application/json" in request.headers.get("Accept", "")


def _http_status(code: int) -> int:
    known = {997: 401, 998: 404, 996: 500, 999: 500}
    if code in known:
        return known[code]
    return code if 200 <= code < 600 else 400


def _as_xml(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(f"<{name}>{_as_xml(one)}</{name}>" for name, one in value.items())
    if isinstance(value, list):
        return "".join(f"<element>{_as_xml(one)}</element>" for one in value)
    if isinstance(value, bool):
        return "1" if value else ""  # as PHP writes it
    return escape("" if value is None else str(value))
