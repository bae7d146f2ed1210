"""Time passing: everything that falls due by itself, in its order, each thing at its own moment."""

from collections.abc import Callable

from apps.sandbox import clock
from apps.sandbox.stripe import dues, records, timeline
from apps.sandbox.stripe.events import emit
from apps.sandbox.stripe.records import Obj, find, get, root

# What the agenda's actions are called, and which kind of object each is about.
ACTIONS: dict[str, tuple[str, Callable[[Obj], None]]] = {
    "renew": ("subscription", dues.renew),
    "cancel": ("subscription", dues.cancel),
    "trial": ("subscription", dues.end_trial),
    "warn": ("subscription", dues.warn_of_trial_end),
    "upcoming": ("subscription", dues.announce_renewal),
    "expire_sub": ("subscription", dues.expire_incomplete),
    "resume": ("subscription", dues.resume_collection),
    "finalize": ("invoice", dues.finalize),
    "retry": ("invoice", dues.retry),
    "expire": ("checkout.session", dues.expire_session),
    "settle": ("checkout.session", dues.settle_session),
    "dispute": ("charge", dues.dispute),
}


def fill() -> None:
    """Put the account and the empty tables in place where they are missing."""
    records.fill()


def advance(seconds: int) -> int:
    """Move the clock on by `seconds` through every due moment on the way; the new time. The caller holds the lock."""
    target = clock.now() + seconds
    while (due := timeline.next_due(target, None)) is not None:
        action, identifier, moment = due
        if moment > clock.now():
            clock.advance(moment - clock.now())
        _live_through(action, identifier, moment)
    if target > clock.now():
        clock.advance(target - clock.now())
    return clock.now()


def catch_up() -> None:
    """Let happen what fell due because real time passed."""
    if "agenda" not in root():
        return
    now = clock.now()
    while (due := timeline.next_due(now, None)) is not None:
        _live_through(*due)


def advance_test_clock(test_clock: Obj, target: int) -> None:
    """Move a test clock to `target` through every due moment of its customers."""
    test_clock["status"] = "advancing"
    emit("test_helpers.test_clock.advancing", test_clock)
    while (due := timeline.next_due(target, test_clock["id"])) is not None:
        test_clock["frozen_time"] = max(test_clock["frozen_time"], due[2])
        _live_through(*due)
    test_clock |= {"frozen_time": target, "status": "ready"}
    emit("test_helpers.test_clock.ready", test_clock)


def _live_through(action: str, identifier: str, moment: int) -> None:
    kind, happen = ACTIONS[action]
    if find(kind, identifier) is None:
        return
    with timeline.at(moment):
        happen(get(kind, identifier))
