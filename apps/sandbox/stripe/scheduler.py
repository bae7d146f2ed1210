"""Runs everything that is due, in order, each at its own moment."""

from collections.abc import Callable

from apps.sandbox import clock
from apps.sandbox.stripe import pending_updates, records, scheduled, timeline
from apps.sandbox.stripe.records import Obj, find, get, root

# The agenda's actions: the kind of object each is about, and what it does.
ACTIONS: dict[str, tuple[str, Callable[[Obj], None]]] = {
    "renew": ("subscription", scheduled.renew),
    "cancel": ("subscription", scheduled.cancel),
    "trial": ("subscription", scheduled.end_trial),
    "warn": ("subscription", scheduled.warn_of_trial_end),
    "upcoming": ("subscription", scheduled.announce_renewal),
    "expire_sub": ("subscription", scheduled.expire_incomplete),
    "resume": ("subscription", scheduled.resume_collection),
    "finalize": ("invoice", scheduled.finalize),
    "retry": ("invoice", scheduled.retry),
    "overdue": ("invoice", scheduled.pass_due_date),
    "void": ("invoice", scheduled.void_unpaid),
    "forget_change": ("invoice", pending_updates.forget),
    "expire": ("checkout.session", scheduled.expire_session),
    "finish_processing": ("checkout.session", scheduled.finish_processing),
    "dispute": ("charge", scheduled.dispute),
}


def fill() -> None:
    """Put the empty tables in place where they are missing."""
    records.fill()
    timeline.upgrade()


def advance(seconds: int) -> int:
    """Move the clock on by `seconds` and run everything due on the way; returns the new time. The caller holds the lock."""
    target = clock.now() + seconds
    while (due := timeline.next_due(target)) is not None:
        action, identifier, moment = due
        if moment > clock.now():
            clock.advance(moment - clock.now())
        _run(action, identifier, moment)
    if target > clock.now():
        clock.advance(target - clock.now())
    return clock.now()


def catch_up() -> None:
    """Run what became due because real time passed."""
    if "agenda" not in root():
        return
    now = clock.now()
    while (due := timeline.next_due(now)) is not None:
        _run(*due)


def _run(action: str, identifier: str, moment: int) -> None:
    kind, perform = ACTIONS[action]
    if find(kind, identifier) is None:
        return
    with timeline.at(moment):
        perform(get(kind, identifier))
