"""The account and its events."""

from apps.sandbox.stripe import webhooks
from apps.sandbox.stripe.errors import invalid, no_such
from apps.sandbox.stripe.events import kept
from apps.sandbox.stripe.records import ACCOUNT_ID, Obj, get
from apps.sandbox.stripe.routing import route


@route("GET /v1/account")
def get_account(_params: Obj) -> Obj:
    return get("account", ACCOUNT_ID)


def find(identifier: str) -> Obj:
    """A recent event. Raises ApiError (404)."""
    for event in kept():
        if event["id"] == identifier:
            return event
    raise no_such("event", identifier)


def matching(found: list[Obj], params: Obj) -> list[Obj]:
    """Narrow a list by type and by whether an endpoint still misses the event."""
    if "type" in params and "types" in params:
        raise invalid("You may only specify one of these parameters: type, types.")
    if len(params.get("types", [])) > 20:
        raise invalid("Array too long: types may have at most 20 elements.", "types")
    wanted = params.get("types") or ([params["type"]] if "type" in params else None)
    if wanted is not None:
        found = [event for event in found if any(_matches(event["type"], each) for each in wanted)]
    if "delivery_success" in params:
        missed = webhooks.undelivered()
        found = [event for event in found if (event["id"] not in missed) == params["delivery_success"]]
    return found


def _matches(kind: str, wanted: str) -> bool:
    return kind == wanted or (wanted.endswith("*") and kind.startswith(wanted[:-1]))
