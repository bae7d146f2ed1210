"""What became of each mail, told to the application as Mailgun does: signed, again until it is taken, and on request rudely.

`store.data["mailgun"]["tracking"]`: on | off | rude. Rude: each mail is delayed first, and every event comes late, in another
order and three times, twice of them with one token. What becomes of a mail is said by its address: "bounce…@", "full…@" (delayed,
then delivered), "spam…@", "refused…@", or `store.data["mailgun"]["addresses"]` ({address: bounce | full | spam | refused | ok}).
"""

import hashlib
import hmac
import json
import logging
import secrets
import threading
import time
from collections.abc import Sequence
from typing import Any

from apps.sandbox import clock, settings
from apps.sandbox.outgoing import post
from apps.sandbox.store import store

Event = dict[str, Any]
KINDS = ("delivered", "temporary_fail", "permanent_fail", "complained")  # that the application is told
OUTCOMES = {
    "ok": ("delivered",),
    "full": ("temporary_fail", "delivered"),
    "bounce": ("permanent_fail",),
    "spam": ("delivered", "complained"),
    "refused": ("rejected",),
}
MODES = ("on", "off", "rude")
SAID: dict[str, Event] = {
    "temporary_fail": {"event": "failed", "severity": "temporary", "reason": "generic", "log-level": "warn"},
    "permanent_fail": {"event": "failed", "severity": "permanent", "reason": "bounce", "log-level": "error"},
    "rejected": {"event": "rejected", "reject": {"reason": "The recipient is on a list of ours.", "description": ""}},
}
STATUS = {
    "delivered": (250, "OK", ""),
    "temporary_fail": (452, "4.2.2 {to}: the mailbox is full", "Mailbox full"),
    "permanent_fail": (550, "5.1.1 <{to}>: no such user here", "Recipient address rejected"),
}
KEEP = 2_000
WAITS = (1, 2, 3, 5, 8, 13, 21)
TAKEN = (200, 406)  # 406: do not send it again
logger = logging.getLogger(__name__)


def start() -> None:
    """Start the thread that tells."""
    threading.Thread(target=_tell_forever, name="sandbox-mail-events", daemon=True).start()


def hooks() -> dict[str, list[str]]:
    """Where each kind of event is told: as set through control.py, and as configured."""
    found = {kind: list(urls) for kind, urls in store.data["mailgun"]["webhooks"].items()}
    for kind in KINDS if settings.MAILGUN_WEBHOOK_URL else ():
        found[kind] = list(dict.fromkeys([*found.get(kind, []), settings.MAILGUN_WEBHOOK_URL]))
    return found


def log_events() -> list[Event]:
    """Everything that became of mails, oldest first."""
    found: list[Event] = store.data.setdefault("mailgun_events", [])
    return found


def happen(mail: Event, *, message_id: str) -> None:
    """Decide what becomes of a mail that was taken, log it and queue what is told of it. The caller holds the lock."""
    mode = store.data["mailgun"].get("tracking", "on")
    for to in mail["to"]:
        outcome = OUTCOMES[_behaviour(to)]
        kinds = ("temporary_fail", *outcome) if mode == "rude" and outcome[0] != "temporary_fail" else outcome
        events = [_event(kind, mail, to, message_id, at=clock.now() + n) for n, kind in enumerate(kinds)]
        log_events().extend(events)
        del log_events()[:-KEEP]
        if mode != "off":
            _queue(list(zip(kinds, events, strict=True)), rude=mode == "rude")
    store.changed()


def _behaviour(address: str) -> str:
    bare = address.rpartition("<")[2].rstrip(">").lower()
    chosen = store.data["mailgun"].get("addresses", {}).get(bare)
    if chosen in OUTCOMES:
        return str(chosen)
    return next((name for name in OUTCOMES if name != "ok" and bare.startswith(name)), "ok")


def _event(kind: str, mail: Event, to: str, message_id: str, *, at: float) -> Event:
    """The `event-data` of one event."""
    address = to.rpartition("<")[2].rstrip(">")
    code, message, description = STATUS.get(kind, (0, "", ""))
    status = {"code": code, "message": message.format(to=address), "description": description, "attempt-no": 1}
    event: Event = {
        "id": secrets.token_urlsafe(16), "event": kind, "log-level": "info", "timestamp": at + secrets.randbelow(500) / 1000,
        "recipient": address, "recipient-domain": address.rpartition("@")[2], "tags": list(mail["tags"]),
        "user-variables": dict(mail["variables"]), "campaigns": [], "flags": {"is-authenticated": True, "is-test-mode": False},
        "message": {"headers": {"to": to, "message-id": message_id.strip("<>"), "from": mail["from"], "subject": mail["subject"]}},
        "delivery-status": status if kind in STATUS else None,
    }  # fmt: skip
    return event | SAID.get(kind, {})


def _queue(events: Sequence[tuple[str, Event]], *, rude: bool) -> None:
    waiting = store.data.setdefault("mailgun_waiting", [])
    where = hooks()
    for number, (kind, event) in enumerate(events):
        for url in where.get(kind, []):
            body = signed(event)
            bodies = [body, body, signed(event)] if rude else [body]
            for one in bodies:
                late = secrets.randbelow(4_000) / 1000 if rude else 0.3 * number
                waiting.append({"url": url, "body": one, "due": time.time() + late, "tries": 0})
    del waiting[:-KEEP]


def signed(event: Event) -> Event:
    """What is posted of an event, with Mailgun's signature of this moment."""
    stamp, token = str(clock.now()), secrets.token_hex(25)
    digest = hmac.new(settings.MAILGUN_SIGNING_KEY.encode(), f"{stamp}{token}".encode(), hashlib.sha256).hexdigest()
    return {"signature": {"timestamp": stamp, "token": token, "signature": digest}, "event-data": event}


def _tell_forever() -> None:
    while True:
        time.sleep(0.1)
        try:
            with store.lock:
                waiting = store.data.get("mailgun_waiting", [])
                due = [one for one in waiting if one["due"] <= time.time()]
            for one in due:
                _tell(one)
        except Exception:
            logger.exception("Telling what became of mails failed; trying again.")


def _tell(one: Event) -> None:
    """One try; the store's lock is not held meanwhile."""
    status = post(one["url"], json.dumps(one["body"]).encode(), {"User-Agent": "mailgun/treq-0.0"})
    with store.lock:
        one["tries"] += 1
        if status in TAKEN or one["tries"] > len(WAITS):
            store.data["mailgun_waiting"] = [each for each in store.data.get("mailgun_waiting", []) if each is not one]
        else:
            one["due"] = time.time() + WAITS[one["tries"] - 1]
    store.changed()
