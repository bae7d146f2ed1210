"""What happens once at the start of the sandbox, after a reset, and when the clock moves."""

from apps.sandbox import clock, settings
from apps.sandbox.keycloak import realm
from apps.sandbox.mailgun import tracking
from apps.sandbox.store import store
from apps.sandbox.stripe import scheduler, webhooks


def start() -> None:
    """Load the kept state, fill what is missing, start the webhook deliverer."""
    if settings.DATA_DIR:
        store.open(settings.DATA_DIR)
    fill()
    webhooks.start()
    tracking.start()


def fill() -> None:
    """Put the realm and Stripe's account in place where they are missing; publish the clock."""
    with store.lock:
        realm.fill()
        scheduler.fill()
        clock.publish()
    store.changed()


def reset() -> None:
    """Back to an empty Stripe account, the realm file's people, an empty inbox, the system's time, no faults."""
    store.reset()
    fill()


def return_to_mark(name: str) -> None:
    """Back to what `control/mark` has remembered under that name, its clock too. Raises ValueError when nothing was."""
    store.return_to_mark(name)
    fill()


def advance(seconds: int) -> int:
    """Move the clock and let everything that falls due on the way happen, in its order (renewals, dunning, expiries)."""
    with store.lock:
        at = scheduler.advance(seconds)
    store.changed()
    return at
