"""Which version of Stripe's API the webhook endpoint speaks: one attention item while it is of another release than ours.

It does no harm, because no event's data is applied; the person who upgrades the endpoint should still know that we did not follow.
"""

from django.conf import settings

from apps.core import attention
from apps.core.attention import Cause

KEY = "webhook"


def report_difference(version: str) -> None:
    """Open the item, or join it, when an event came in `version` and that is of another release than ours."""
    if not is_ours(version):
        attention.report(
            Cause.API_VERSION,
            KEY,
            f"Stripe's webhook endpoint speaks {version[:40]}, and we expect {settings.STRIPE_API_VERSION}. Its events are"
            " processed all the same. Set the endpoint's API version to ours, or upgrade Frontdesk.",
        )


def report_thin_events() -> None:
    """Open the item, or join it, when a thin event came: it has no object, so we learn nothing from it."""
    attention.report(
        Cause.API_VERSION,
        "thin events",
        "Stripe sends thin events to our webhook, and we can use only snapshot events. Choose “snapshot” as the payload style"
        " of the event destination, or delete this destination if there is another one.",
    )


def note_agreement(version: str) -> None:
    """Close the item once an event has come in a version of our release."""
    if version and is_ours(version):
        attention.resolve_soon(Cause.API_VERSION, KEY, why=f"The endpoint speaks {version[:40]} now.")


def is_ours(version: str) -> bool:
    """Whether it is of our release: within one Stripe only adds (docs.stripe.com/changelog). An event need not name any."""
    return not version or _release(version) == _release(settings.STRIPE_API_VERSION)


def _release(version: str) -> str:
    """`dahlia` of `2026-08-26.dahlia`; versions before 2024-09-30 have no name and are releases of their own."""
    return version.rpartition(".")[2]
