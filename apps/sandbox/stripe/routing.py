"""The table of addresses: resources.py and the functions with `route` fill it, api.py reads it."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from apps.sandbox.stripe.forms import PARAMETERS
from apps.sandbox.stripe.records import Obj

Handler = Callable[..., Obj]


@dataclass(frozen=True)
class Route:
    """One operation of Stripe's document and the function that carries it out."""

    method: str
    pattern: re.Pattern[str]
    operation: str
    handler: Handler


ROUTES: list[Route] = []


def route(operation: str) -> Callable[[Handler], Handler]:
    """Register the function for "METHOD /v1/path/{id}", as Stripe's document writes it."""
    if operation not in PARAMETERS:
        raise LookupError(f"{operation} is not in parameters.json.")
    method, path = operation.split(" ")
    pattern = re.compile(re.sub(r"\\\{[^}]+\\\}", "([^/]+)", re.escape(path)))

    def keep(handler: Handler) -> Handler:
        ROUTES.append(Route(method, pattern, operation, handler))
        ROUTES.sort(key=lambda known: known.operation.count("{"))
        return handler

    return keep
