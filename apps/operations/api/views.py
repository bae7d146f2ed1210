"""The routes of the customer API. Each answers GET and HEAD alone, for a valid key, in JSON; no cookie and no session lets anybody in.

Promises: a request passes, in this order, its method, what it accepts, its key, the key's network, limit and scope, and its
parameters; whatever is wrong is a problem document (problems.py). An answer has a strong ETag and is kept in no cache.
"""

import functools
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response
from django.views.decorators.csrf import csrf_exempt

from apps.accounts.models import UserProfile
from apps.core import clock, limits, restores, security_events
from apps.core.clear_text import for_programs
from apps.core.networks import is_within
from apps.core.requests import client_address, is_number, remote_address
from apps.core.security_events import SecurityEvent
from apps.operations.api import changes, customers, keys, problems
from apps.operations.api.problems import ApiProblem
from apps.operations.models import CustomerApiKey

MOST, USUAL = 200, 50  # rows of one answer
FILTERS = ("email", "keycloak_id", "stripe_customer")
LONGEST = 300  # characters of a parameter
DOCUMENT = Path(__file__).with_name("openapi.json")
Scope = CustomerApiKey.Scope
Read = Callable[..., dict[str, Any]]
View = Callable[..., HttpResponse]


class ApiRequest:
    """A request that was let in: its key and its parameters; `names`: those that the route knows."""

    def __init__(self, request: HttpRequest, key: CustomerApiKey, names: tuple[str, ...]) -> None:
        self.key, self.given = key, request.GET
        for name, values in self.given.lists():
            if name not in names:
                raise problems.bad_parameter(f"The parameter “{name[:40]}” is not known here.")
            if len(values) > 1 or not values[0] or len(values[0]) > LONGEST or "\x00" in values[0]:
                raise problems.bad_parameter(f"Give “{name}” once, with a value of at most {LONGEST} characters.")

    @property
    def is_personal(self) -> bool:
        """Whether names and addresses are shown."""
        return Scope.PERSONAL in self.key.scopes

    def number(self, name: str, usual: int | None = None) -> int | None:
        """A whole number, or `usual` where there is none."""
        value = self.given.get(name)
        if value is None:
            return usual
        if not is_number(value):
            raise problems.bad_parameter(f"“{name}” must be a whole number.")
        return int(value)

    @property
    def limit(self) -> int:
        """How many rows are asked for."""
        found = self.number("limit", USUAL) or 0
        if not 1 <= found <= MOST:
            raise problems.bad_parameter(f"“limit” must be from 1 to {MOST}.")
        return found


def answer_api(view: View) -> View:
    """A route: what every one of them refuses, and how."""

    @functools.wraps(view)
    def serve(request: HttpRequest, *args: Any, **given: Any) -> HttpResponse:
        try:
            _refuse_form(request)
            return view(request, *args, **given)
        except ApiProblem as problem:
            return problem.answer()

    return csrf_exempt(for_programs(serve))


def _refuse_form(request: HttpRequest) -> None:
    if request.method not in {"GET", "HEAD"}:
        raise problems.wrong_method()
    if request.get_preferred_type(["application/json"]) is None:
        raise ApiProblem(406, "not_acceptable", "Not acceptable", "Answers are application/json alone.")


def with_key(*names: str) -> Callable[[Read], View]:
    """A route for keys with the scope to read, which knows these parameters: `read(asked, …)` gives what is answered."""

    def decorate(read: Read) -> View:
        @functools.wraps(read)
        def serve(request: HttpRequest, *args: Any, **given: Any) -> HttpResponse:
            key = admit(request)
            room = limits.find_room("api_requests", key.prefix)
            numbers = {
                "RateLimit-Policy": f'"key";q={room.limit};w={room.per}',
                "RateLimit": f'"key";r={max(0, room.left)};t={room.wait}',
            }
            try:
                body = read(ApiRequest(request, key, names), *args, **given)
            except ApiProblem as problem:
                answer = problem.answer()
            else:
                answer = _answer_json(request, json.dumps(body, ensure_ascii=False))
            for name, value in numbers.items():
                answer.headers[name] = value
            return answer

        return answer_api(serve)

    return decorate


def _answer_json(request: HttpRequest, text: str) -> HttpResponse:
    """200 with the text, or 304 for who has it."""
    etag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
    answer = HttpResponse(text, content_type="application/json", headers={"ETag": etag})
    found = get_conditional_response(request, etag=etag, response=answer)
    return found or answer


# --- who asks ---------------------------------------------------------------------------------------------------------


def admit(request: HttpRequest) -> CustomerApiKey:
    """The valid key of a request, whose use is counted; else an ApiProblem."""
    if restores.is_closed():
        detail = "The database was restored, and what it says is being checked. Ask again later."
        raise ApiProblem(503, "checking", "Not available", detail, {"Retry-After": "600"})
    key = _find_valid(request)
    if not limits.allow(api_requests=key.prefix):
        raise problems.too_many(limits.find_room("api_requests", key.prefix).wait)
    keys.note_use(key)
    return key


def _find_valid(request: HttpRequest) -> CustomerApiKey:
    """Only what is refused counts against the visitor and the network: a valid key behind the same address goes on."""
    try:
        return _read_key(request)
    except ApiProblem:
        security_events.note(SecurityEvent.KEY_REFUSED)
        visitor = client_address(request)
        if not limits.allow(api_refused_visitor=visitor):
            raise problems.too_many(limits.find_room("api_refused_visitor", visitor).wait) from None
        raise


def _read_key(request: HttpRequest) -> CustomerApiKey:
    scheme, _, presented = request.headers.get("Authorization", "").partition(" ")
    if not presented or scheme.lower() != "bearer":
        raise problems.invalid_key("Send the header “Authorization: Bearer” with a key.", "no_key")
    key = keys.find_key(presented.strip())
    if key is None:
        raise problems.invalid_key("There is no such key.")
    if key.revoked_at is not None:
        raise problems.invalid_key("The key was revoked.", "key_revoked")
    if key.expires_at <= clock.now():
        raise problems.invalid_key("The key has expired.", "key_expired")
    if key.networks and not is_within(remote_address(request), key.networks):
        raise ApiProblem(403, "wrong_network", "Not from here", "The key may not be used from this address.")
    return key


# --- routes -----------------------------------------------------------------------------------------------------------


@with_key(*FILTERS, "after", "limit")
def find_customers(asked: ApiRequest) -> dict[str, Any]:
    """Those that one filter names, or all, in pages by number."""
    by = {name: asked.given[name] for name in FILTERS if name in asked.given}
    if len(by) > 1:
        raise problems.bad_parameter("Give one of email, keycloak_id and stripe_customer.")
    if "email" in by and not asked.is_personal:
        raise problems.missing_scope(Scope.PERSONAL)
    limit, after = asked.limit, asked.number("after", 0)
    found = list(customers.list_customers(by).filter(pk__gt=after)[: limit + 1])
    page = found[:limit]
    return {
        "customers": [customers.summarize(one, personal=asked.is_personal) for one in page],
        "after": page[-1].pk if len(found) > limit else None,
    }


@with_key()
def show_customer(asked: ApiRequest, number: str) -> dict[str, Any]:
    """One customer."""
    return customers.describe(_find(number), personal=asked.is_personal)


@with_key("before", "limit")
def show_history(asked: ApiRequest, number: str) -> dict[str, Any]:
    """How the access of one customer has changed."""
    limit, before = asked.limit, asked.number("before")
    found, more = customers.list_history(_find(number), before=before, limit=limit)
    return {"history": found, "before": more}


@with_key("after", "limit")
def list_changes(asked: ApiRequest) -> dict[str, Any]:
    """Who has changed since a cursor; without one, the cursor of now."""
    limit = asked.limit
    if "after" not in asked.given:
        return {"changes": [], "after": changes.find_present(), "has_more": False}
    try:
        page = changes.read_changes(asked.given["after"], limit=limit)
    except changes.BadCursor as error:
        raise problems.bad_parameter("“after” is no cursor that this API has given.") from error
    except changes.CursorGone as error:
        detail = "What came after this cursor is not known any more. Begin again without one, then read all customers."
        raise ApiProblem(410, "cursor_gone", "The cursor is gone", detail) from error
    said = [{"id": one, "url": f"{customers.CUSTOMERS}{one}", "exists": exists} for one, exists in page.customers]
    return {"changes": said, "after": page.cursor, "has_more": page.has_more}


@answer_api
def show_document(request: HttpRequest) -> HttpResponse:
    """The OpenAPI document, for everybody: it says nothing about anybody."""
    return _answer_json(request, _read_document())


@answer_api
def show_nothing(_request: HttpRequest, **_given: str) -> HttpResponse:
    """Every other address of the API."""
    raise problems.not_found("There is nothing at this address.")


@functools.cache
def _read_document() -> str:
    return DOCUMENT.read_text()


def _find(number: str) -> UserProfile:
    found = UserProfile.objects.select_related("user").filter(pk=number).first() if is_number(number) else None
    if found is None:
        raise problems.not_found()
    return found
