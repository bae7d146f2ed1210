"""What a list of events is narrowed by."""

from apps.sandbox.stripe import webhooks
from apps.sandbox.stripe.records import Obj


def matching(found: list[Obj], params: Obj) -> list[Obj]:
    """Narrow a list by types and by whether an endpoint still misses the event."""
    if "types" in params:
        found = [event for event in found if event["type"] in params["types"]]
    if "delivery_success" in params:
        missed = webhooks.undelivered()
        found = [event for event in found if (event["id"] not in missed) == params["delivery_success"]]
    return found
