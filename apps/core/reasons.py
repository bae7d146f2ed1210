"""Why an access state holds: a code with its dates, which rows store, and the sentence for it, written when it is read. Pure."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self


class ReasonCode(StrEnum):
    """The cases of the policy that a person is told apart."""

    ON_HOLD = "on_hold"
    PAID = "paid"
    GRANTED = "granted"
    PAYMENT_LATE = "payment_late"
    UNKNOWN_STATUS = "unknown_status"
    RECOVERING = "recovering"
    UNPAID = "unpaid"
    REFUNDED = "refunded"
    DISPUTE_LOST = "dispute_lost"
    COLLECTION_PAUSED = "collection_paused"
    SUBSCRIPTION_PAUSED = "subscription_paused"
    CANCELED = "canceled"
    EXPIRED = "expired"
    NEVER_PAID = "never_paid"
    HELD_BACK = "held_back"


@dataclass(frozen=True)
class Reason:
    """`until`: the date that the sentence names. `is_paused`: billing is, until `paused_until` or for now (None)."""

    code: ReasonCode
    until: dt.datetime | None = None
    is_paused: bool = False
    paused_until: dt.datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """For a JSON column: dates in ISO form, what is not set left out."""
        found = {
            "code": self.code.value,
            "until": self.until,
            "is_paused": self.is_paused,
            "paused_until": self.paused_until,
        }
        return {name: as_text(value) for name, value in found.items() if value}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self | None:
        """What `as_json` made; None for an empty column or a code of another release."""
        if stored.get("code") not in set(ReasonCode):
            return None
        return cls(
            ReasonCode(stored["code"]),
            as_moment(stored.get("until")),
            bool(stored.get("is_paused")),
            as_moment(stored.get("paused_until")),
        )

    @property
    def sentence(self) -> str:
        """For the subscriber."""
        return SENTENCES[self.code](self)


def as_text(value: Any) -> Any:
    """A value for JSON: a moment in ISO form, anything else as it is."""
    return value.isoformat() if isinstance(value, dt.datetime) else value


def as_moment(stored: str | None) -> dt.datetime | None:
    """The moment that `as_text` wrote; None for nothing."""
    return dt.datetime.fromisoformat(stored) if stored else None


def day(moment: dt.date | None) -> str:
    """A date as people read it: 3 March 2027."""
    return f"{moment.day} {moment:%B %Y}" if moment else "a date that is not known yet"


def last_day(end: dt.datetime | None) -> str:
    """The day through which something holds that ends at `end`: of a midnight, the day before it."""
    return day(end - dt.timedelta(microseconds=1)) if end else day(None)


def _paid(reason: Reason) -> str:
    ends = f" until {day(reason.until)}, then it ends" if reason.until else ""
    paused = f" until {day(reason.paused_until)}" if reason.paused_until else " for now"
    return f"Your subscription is active{ends}.{f' Billing is paused{paused}.' if reason.is_paused else ''}"


def _paused(reason: Reason) -> str:
    back = f" Billing starts again on {day(reason.paused_until)}." if reason.paused_until else ""
    return f"Your subscription is paused, so your apps are paused too. Your data is safe.{back}"


def _late(reason: Reason) -> str:
    until = f"until {day(reason.until)}" if reason.until else "for now"
    return f"Your last payment failed. You keep access {until}. Please update your payment details."


def _canceled(reason: Reason) -> str:
    return f"Your subscription has ended. You can come back{f' until {day(reason.until)}' if reason.until else ''}."


CHECKING = "We are checking your subscription. Nothing changes for you in the meantime."


def _always(sentence: str) -> Callable[[Reason], str]:
    return lambda _reason: sentence


SENTENCES: dict[ReasonCode, Callable[[Reason], str]] = {
    ReasonCode.ON_HOLD: _always("Your account is on hold. Please contact support."),
    ReasonCode.PAID: _paid,
    ReasonCode.GRANTED: lambda reason: f"You have access until {day(reason.until)}.",
    ReasonCode.PAYMENT_LATE: _late,
    ReasonCode.UNKNOWN_STATUS: _always(CHECKING),
    ReasonCode.HELD_BACK: _always(CHECKING),
    ReasonCode.RECOVERING: _always("Your apps are paused until the subscription is paid."),
    ReasonCode.UNPAID: _always("Your subscription isn't paid, so your apps are paused. Your data is safe."),
    ReasonCode.REFUNDED: _always("Your payment was refunded, so your apps are paused. Your data is safe."),
    ReasonCode.DISPUTE_LOST: _always("Your payment was taken back, so your apps are paused. Your data is safe."),
    ReasonCode.COLLECTION_PAUSED: _paused,
    ReasonCode.SUBSCRIPTION_PAUSED: _always(
        "Your subscription is paused because there is no way to pay for it, so your apps are paused. Your data is safe."
    ),
    ReasonCode.CANCELED: _canceled,
    ReasonCode.EXPIRED: lambda reason: (
        f"Your subscription ended, and we kept your space until {day(reason.until)}. You can sign up again."
    ),
    ReasonCode.NEVER_PAID: _always("There is no paid subscription yet."),
}
