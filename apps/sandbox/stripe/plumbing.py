"""The account, events, webhook endpoints and test clocks."""

from apps.sandbox.stripe import life, lists, timeline, webhooks
from apps.sandbox.stripe.errors import invalid, no_such
from apps.sandbox.stripe.events import emit, kept
from apps.sandbox.stripe.records import (
    ACCOUNT_ID,
    Obj,
    every,
    forget,
    get,
    merge_metadata,
    new,
    private,
    random_text,
)
from apps.sandbox.stripe.routing import route


@route("GET /v1/account")
def get_account(_params: Obj) -> Obj:
    """The one account."""
    return get("account", ACCOUNT_ID)


@route("GET /v1/events")
def list_events(params: Obj) -> Obj:
    """Events of the last 30 days by type, time and whether an endpoint still misses them."""
    found = kept()
    if "type" in params and "types" in params:
        raise invalid("You may only specify one of these parameters: type, types.")
    if len(params.get("types", [])) > 20:
        raise invalid("Array too long: types may have at most 20 elements.", "types")
    wanted = params.get("types") or ([params["type"]] if "type" in params else None)
    if wanted is not None:
        found = [event for event in found if any(_fits(event["type"], each) for each in wanted)]
    if "delivery_success" in params:
        missed = webhooks.undelivered()
        found = [event for event in found if (event["id"] not in missed) == params["delivery_success"]]
    return lists.page(found, params, "/v1/events")


def _fits(kind: str, wanted: str) -> bool:
    return kind == wanted or (wanted.endswith("*") and kind.startswith(wanted[:-1]))


@route("GET /v1/events/{id}")
def get_event(_params: Obj, identifier: str) -> Obj:
    """One event."""
    for event in kept():
        if event["id"] == identifier:
            return event
    raise no_such("event", identifier)


@route("POST /v1/webhook_endpoints")
def create_endpoint(params: Obj) -> Obj:
    """An endpoint; its secret is shown in this answer only."""
    _check_url(params["url"])
    endpoint = new(
        "webhook_endpoint",
        url=params["url"],
        enabled_events=params["enabled_events"],
        api_version=params.get("api_version"),
        description=params.get("description") or None,
    )
    merge_metadata(endpoint, params.get("metadata"))
    secret = "whsec_" + random_text(32)
    private(endpoint["id"])["secret"] = secret
    return {**endpoint, "secret": secret}


def _check_url(url: str) -> None:
    if not url.startswith(("http://", "https://")):
        raise invalid(
            "Invalid URL: An explicit scheme (such as https) must be provided.",
            "url",
            "url_invalid",
        )


@route("POST /v1/webhook_endpoints/{webhook_endpoint}")
def update_endpoint(params: Obj, identifier: str) -> Obj:
    """Change or disable an endpoint."""
    endpoint = get("webhook_endpoint", identifier)
    if "url" in params:
        _check_url(params["url"])
    endpoint.update({name: params[name] for name in ("url", "enabled_events", "description") if name in params})
    if "disabled" in params:
        endpoint["status"] = "disabled" if params["disabled"] else "enabled"
    merge_metadata(endpoint, params.get("metadata"))
    return endpoint


@route("GET /v1/webhook_endpoints")
def list_endpoints(params: Obj) -> Obj:
    """All endpoints made through the API."""
    return lists.page(every("webhook_endpoint"), params, "/v1/webhook_endpoints")


@route("GET /v1/webhook_endpoints/{webhook_endpoint}")
def get_endpoint(_params: Obj, identifier: str) -> Obj:
    """One endpoint."""
    return get("webhook_endpoint", identifier)


@route("DELETE /v1/webhook_endpoints/{webhook_endpoint}")
def delete_endpoint(_params: Obj, identifier: str) -> Obj:
    """Remove an endpoint."""
    get("webhook_endpoint", identifier)
    forget("webhook_endpoint", identifier)
    return {"id": identifier, "object": "webhook_endpoint", "deleted": True}


@route("POST /v1/test_helpers/test_clocks")
def create_clock(params: Obj) -> Obj:
    """A clock its customers live by."""
    clock = new(
        "test_helpers.test_clock",
        frozen_time=params["frozen_time"],
        name=params.get("name"),
        deletes_after=timeline.now() + 30 * 86_400,
    )
    emit("test_helpers.test_clock.created", clock)
    return clock


@route("POST /v1/test_helpers/test_clocks/{test_clock}/advance")
def advance_clock(params: Obj, identifier: str) -> Obj:
    """Move the clock; here it is ready at once, and steps may be of any length."""
    clock = get("test_helpers.test_clock", identifier)
    if params["frozen_time"] <= clock["frozen_time"]:
        raise invalid("The frozen time must be after the test clock's current frozen time.", "frozen_time")
    life.advance_test_clock(clock, params["frozen_time"])
    return clock


@route("GET /v1/test_helpers/test_clocks")
def list_clocks(params: Obj) -> Obj:
    """All clocks."""
    return lists.page(every("test_helpers.test_clock"), params, "/v1/test_helpers/test_clocks")


@route("GET /v1/test_helpers/test_clocks/{test_clock}")
def get_clock(_params: Obj, identifier: str) -> Obj:
    """One clock."""
    return get("test_helpers.test_clock", identifier)


@route("DELETE /v1/test_helpers/test_clocks/{test_clock}")
def delete_clock(_params: Obj, identifier: str) -> Obj:
    """Delete a clock with its customers and their subscriptions."""
    clock = get("test_helpers.test_clock", identifier)
    for kind in ("customer", "subscription", "invoice"):
        for owned in every(kind):
            if owned.get("test_clock") == identifier:
                forget(kind, owned["id"])
    forget("test_helpers.test_clock", identifier)
    emit("test_helpers.test_clock.deleted", clock)
    return {"id": identifier, "object": "test_helpers.test_clock", "deleted": True}
