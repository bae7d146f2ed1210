"""Events: what happened, with the object as it was and what it was before; each is queued for every endpoint that asks.

An event is kept 30 days (docs.stripe.com/api/events). What a request causes carries that request's id and key.
"""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from apps.sandbox import clock
from apps.sandbox.stripe import timeline
from apps.sandbox.stripe.errors import ApiError
from apps.sandbox.stripe.records import Obj, blank, copied, private, root

KEPT_SECONDS = 30 * 86_400
_cause = threading.local()
queue: list[Any] = []  # filled by webhooks.py with the function that queues an event's deliveries


@contextlib.contextmanager
def caused_by(*, request_id: str, idempotency_key: str | None) -> Iterator[None]:
    """Name the request that causes the events of this block."""
    _cause.request = {"id": request_id, "idempotency_key": idempotency_key}
    try:
        yield
    finally:
        _cause.request = None


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Changes of this block make no event (Stripe can fail to create one)."""
    _cause.silent = True
    try:
        yield
    finally:
        _cause.silent = False


def emit(kind: str, about: Obj, previous: Obj | None = None) -> None:
    """Say that `kind` happened to the object, as it is now."""
    if getattr(_cause, "silent", False):
        return
    data: Obj = {"object": copied(about)}
    if previous is not None:
        data["previous_attributes"] = previous
    nobody = {"id": None, "idempotency_key": None}
    event = blank("event", type=kind, data=data, request=getattr(_cause, "request", None) or nobody)
    event["created"] = timeline.now()
    private(event["id"])["made_at"] = clock.now()
    root()["events"][event["id"]] = event
    for put in queue:
        put(event)


@contextlib.contextmanager
def change(about: Obj, *kinds: str) -> Iterator[None]:
    """Emit `kinds` after the block, with previous_attributes, if it changed anything; undo a block that is refused."""
    before = copied(about)
    try:
        yield
    except ApiError:
        about.clear()
        about.update(before)
        raise
    previous = _difference(before, about)
    if previous:
        for kind in kinds:
            emit(kind, about, previous)


def _difference(before: Obj, after: Obj) -> Obj:
    """previous_attributes: old values of what changed; parts of plain hashes, whole lists, all of the rest."""
    found: Obj = {}
    for key in {**before, **after}:
        old, fresh = before.get(key), after.get(key)
        if old == fresh:
            continue
        if isinstance(old, dict) and old.get("object") == "list":
            found[key] = {"data": old["data"]}
        elif isinstance(old, dict) and isinstance(fresh, dict) and "object" not in old:
            names = [name for name in {**old, **fresh} if old.get(name) != fresh.get(name)]
            found[key] = {name: old.get(name) for name in names}
        else:
            found[key] = old
    return found


def kept() -> list[Obj]:
    """The events of the last 30 days, oldest first; older ones vanish."""
    limit = clock.now() - KEPT_SECONDS
    events: dict[str, Obj] = root()["events"]
    for identifier in [key for key in events if private(key).get("made_at", 0) < limit]:
        del events[identifier]
        root()["private"].pop(identifier, None)
    return list(events.values())
