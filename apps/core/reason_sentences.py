"""Why an access state holds, as a sentence for the subscriber in the language that is active; written when it is read."""

from collections.abc import Callable

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from apps.core.dates import day
from apps.core.reasons import Reason, ReasonCode


def reason_sentence(reason: Reason) -> str:
    """For the subscriber, whose own money it is about or another one's."""
    shared = SHARED_SENTENCES.get(reason.code) if reason.is_shared else None
    found = shared or SENTENCES[reason.code]
    return _(found) if isinstance(found, str) else found(reason)


def _paid(reason: Reason) -> str:
    active = _("Your subscription is active.")
    if reason.until:
        active = _("Your subscription is active until {day}, then it ends.").format(day=day(reason.until))
    return f"{active} {_billing_pause(reason)}" if reason.is_paused else active


def _billing_pause(reason: Reason) -> str:
    if reason.paused_until:
        return _("Billing is paused until {day}.").format(day=day(reason.paused_until))
    return _("Billing is paused for now.")


def _paused(reason: Reason) -> str:
    paused = _("Your subscription is paused, so your apps are paused too. Your data is safe.")
    if not reason.paused_until:
        return paused
    return f"{paused} {_('Billing starts again on {day}.').format(day=day(reason.paused_until))}"


def _late(reason: Reason) -> str:
    if reason.until:
        return _("Your last payment failed. You keep access until {day}. Please update your payment details.").format(
            day=day(reason.until)
        )
    return _("Your last payment failed. You keep access for now. Please update your payment details.")


def _canceled(reason: Reason) -> str:
    if reason.until:
        return _("Your subscription has ended. You can come back until {day}.").format(day=day(reason.until))
    return _("Your subscription has ended. You can come back.")


def _granted(reason: Reason) -> str:
    return _("You have access until {day}.").format(day=day(reason.until))


def _expired(reason: Reason) -> str:
    return _("Your subscription ended, and we kept your space until {day}. You can sign up again.").format(
        day=day(reason.until)
    )


CHECKING = gettext_noop("We are checking your subscription. Nothing changes for you in the meantime.")

SENTENCES: dict[ReasonCode, str | Callable[[Reason], str]] = {
    ReasonCode.ON_HOLD: gettext_noop("Your account is on hold. Please contact support."),
    ReasonCode.PAID: _paid,
    ReasonCode.GRANTED: _granted,
    ReasonCode.PAYMENT_LATE: _late,
    ReasonCode.UNKNOWN_STATUS: CHECKING,
    ReasonCode.HELD_BACK: CHECKING,
    ReasonCode.RECOVERING: gettext_noop("Your apps are paused until the subscription is paid."),
    ReasonCode.UNPAID: gettext_noop("Your subscription isn't paid, so your apps are paused. Your data is safe."),
    ReasonCode.REFUNDED: gettext_noop("Your payment was refunded, so your apps are paused. Your data is safe."),
    ReasonCode.DISPUTE_LOST: gettext_noop("Your payment was taken back, so your apps are paused. Your data is safe."),
    ReasonCode.COLLECTION_PAUSED: _paused,
    ReasonCode.SUBSCRIPTION_PAUSED: gettext_noop(
        "Your subscription is paused because there is no way to pay for it, so your apps are paused. Your data is safe."
    ),
    ReasonCode.CANCELED: _canceled,
    ReasonCode.EXPIRED: _expired,
    ReasonCode.NEVER_PAID: gettext_noop("There is no paid subscription yet."),
}


def _shared(reason: Reason) -> str:
    if reason.until:
        told = _("Your apps are open until {day}. Then the subscription that you share ends.")
        return told.format(day=day(reason.until))
    return _("Your apps are open. Somebody else pays for them.")


def _shared_late(reason: Reason) -> str:
    if reason.until:
        told = _("The payment for the subscription that you share is late. You keep access until {day}.")
        return told.format(day=day(reason.until))
    return _("The payment for the subscription that you share is late. You keep access for now.")


def _shared_ended(reason: Reason) -> str:
    if reason.until:
        told = _("The subscription that you shared has ended for you. We keep your data until {day}.")
        return told.format(day=day(reason.until))
    return _("The subscription that you shared has ended for you. We keep your data for a while.")


def _shared_expired(reason: Reason) -> str:
    told = _(
        "The subscription that you shared has ended for you, and we kept your space until {day}. You can sign up yourself."
    )
    return told.format(day=day(reason.until))


SHARED_UNPAID = gettext_noop("The subscription that you share isn't paid, so your apps are paused. Your data is safe.")
SHARED_PAUSED = gettext_noop(
    "The subscription that you share is paused, so your apps are paused too. Your data is safe."
)
SHARED_SENTENCES: dict[ReasonCode, str | Callable[[Reason], str]] = {
    ReasonCode.PAID: _shared,
    ReasonCode.PAYMENT_LATE: _shared_late,
    **dict.fromkeys((ReasonCode.UNPAID, ReasonCode.REFUNDED, ReasonCode.DISPUTE_LOST), SHARED_UNPAID),
    **dict.fromkeys((ReasonCode.COLLECTION_PAUSED, ReasonCode.SUBSCRIPTION_PAUSED), SHARED_PAUSED),
    ReasonCode.CANCELED: _shared_ended,
    ReasonCode.EXPIRED: _shared_expired,
}
