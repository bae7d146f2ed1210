"""Delivery of events: signed, queued, retried, and on request held, dropped, duplicated or shuffled.

`store.data["webhook_mode"]`: deliver | hold | drop | duplicate | shuffle. A failed delivery is tried again after a few
real seconds, so that a demo recovers, and by the sandbox's clock with growing waits, until 3 days have passed there
(docs.stripe.com/webhooks). The store's lock is never held while an endpoint is called.
"""

import hashlib
import hmac
import json
import logging
import random
import threading
import time

from apps.sandbox import clock, settings
from apps.sandbox.outgoing import post
from apps.sandbox.store import store
from apps.sandbox.stripe import events, scheduler
from apps.sandbox.stripe.records import Obj, random_text, root

GIVE_UP_SECONDS = 3 * 86_400
WAITS = (300, 1800, 7200, 18_000, 36_000, 43_200)
REAL_WAITS = (1, 2, 3, 5)
SHUFFLE_SECONDS = 0.4
FLUSH_SECONDS = 30
logger = logging.getLogger(__name__)
_wake = threading.Event()
_busy: set[str] = set()


def start() -> None:
    """Start the thread that delivers."""
    threading.Thread(target=_deliver_forever, name="sandbox-webhooks", daemon=True).start()


def endpoint() -> Obj | None:
    """Where events go: as set through control.py, else as configured."""
    configured = {"url": settings.WEBHOOK_URL, "secret": settings.WEBHOOK_SECRET}
    found: Obj = root().get("endpoint", configured)
    return found if found["url"] else None


def enqueue(event: Obj) -> None:
    """Queue an event for delivery; events.emit calls this. An endpoint that is disabled, or did not ask for it, gets none."""
    target = endpoint()
    if target is None or target.get("status") == "disabled":
        return
    if not {"*", event["type"]} & set(target.get("events", ["*"])):
        return
    event["pending_webhooks"] = 1
    state = "lost" if store.data["webhook_mode"] == "drop" else "waiting"
    root()["deliveries"].append({
        "id": random_text(12), "event": event["id"], "state": state, "tries": 0,
        "queued": time.time(), "first": clock.now(), "at": 0, "real": 0.0, "released": False,
    })  # fmt: skip
    _wake.set()


events.queue.append(enqueue)


def undelivered() -> set[str]:
    """The ids of events the endpoint has not accepted."""
    return {delivery["event"] for delivery in root()["deliveries"]}


def flush() -> dict[str, int]:
    """Send everything that waits, held or not, and return when each has been answered once (30 s at most)."""
    with store.lock:
        waiting = [delivery for delivery in root()["deliveries"] if delivery["state"] == "waiting"]
        for delivery in waiting:
            delivery |= {"released": True, "at": 0, "real": 0.0}
        if store.data["webhook_mode"] == "shuffle":
            random.shuffle(waiting)
    count = {"delivered": 0, "failed": 0}
    deadline = time.monotonic() + FLUSH_SECONDS
    for delivery in waiting:
        while delivery["id"] in _busy and time.monotonic() < deadline:
            time.sleep(0.005)
        if time.monotonic() > deadline:
            break
        if delivery["real"] == 0:  # not answered by the thread meanwhile
            _deliver(delivery)
        count["delivered" if delivery["state"] == "done" else "failed"] += 1
    return count


def _deliver_forever() -> None:
    last_catch_up = 0.0
    while True:
        _wake.wait(timeout=0.25)
        _wake.clear()
        try:
            if time.monotonic() - last_catch_up > 1:
                last_catch_up = time.monotonic()
                with store.lock:
                    scheduler.catch_up()
            for delivery in _due():
                _deliver(delivery)
        except Exception:
            logger.exception("Delivering webhooks failed; trying again.")


def _due() -> list[Obj]:
    with store.lock:
        mode = store.data["webhook_mode"]
        now, real = clock.now(), time.time()
        found = []
        for delivery in root().get("deliveries", []):
            if delivery["state"] != "waiting" or (mode == "hold" and not delivery["released"]):
                continue
            if mode == "shuffle" and not delivery["tries"] and real - delivery["queued"] < SHUFFLE_SECONDS:
                continue
            if delivery["at"] <= now or delivery["real"] <= real:
                found.append(delivery)
    if mode == "shuffle":
        random.shuffle(found)
    return found


def _deliver(delivery: Obj) -> None:
    """One try, with its result written down; twice in the mode "duplicate"."""
    with store.lock:
        known = delivery["id"] not in _busy and any(each is delivery for each in root().get("deliveries", []))
        event = root().get("events", {}).get(delivery["event"])
        target = endpoint()
        if not known or delivery["state"] != "waiting":
            return
        if event is None or target is None:
            delivery["state"] = "lost"
            return
        _busy.add(delivery["id"])
        body = json.dumps(event | {"api_version": target.get("version", event["api_version"])}, indent=2).encode()
        header = signature(body, target["secret"], clock.now())
        twice = store.data["webhook_mode"] == "duplicate"
    try:
        answered = call(target["url"], body, header)
        if twice and answered:
            call(target["url"], body, header)
    finally:
        _busy.discard(delivery["id"])
    with store.lock:
        _note(delivery, event, answered=answered)
    store.changed()


def _note(delivery: Obj, event: Obj, *, answered: bool) -> None:
    if answered:
        delivery["state"] = "done"
        event["pending_webhooks"] = 0
        root()["deliveries"] = [each for each in root().get("deliveries", []) if each is not delivery]
        return
    tries = delivery["tries"]
    delivery["tries"] += 1
    delivery["at"] = clock.now() + WAITS[min(tries, len(WAITS) - 1)]
    delivery["real"] = time.time() + REAL_WAITS[min(tries, len(REAL_WAITS) - 1)]
    if clock.now() - delivery["first"] > GIVE_UP_SECONDS:
        delivery["state"] = "given_up"


def signature(body: bytes, secret: str, moment: int) -> str:
    """The Stripe-Signature header: v1 is HMAC-SHA256 over "{moment}.{body}"."""
    digest = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


def call(url: str, body: bytes, header: str) -> bool:
    """POST one body; True for a 2xx."""
    headers = {"Stripe-Signature": header, "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)"}
    return 200 <= post(url, body, headers) < 300
