"""Why an access state holds: a code with its dates, which rows store. Pure; the sentence for it is in reason_sentences.py."""

import datetime as dt
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
    """`until`: the date that the sentence names. `is_paused`: billing is, until `paused_until` or for now (None).

    `is_shared`: it is about what another subscriber pays, or paid.
    """

    code: ReasonCode
    until: dt.datetime | None = None
    is_paused: bool = False
    paused_until: dt.datetime | None = None
    is_shared: bool = False

    def as_json(self) -> dict[str, Any]:
        """For a JSON column: dates in ISO form, what is not set left out."""
        found = {
            "code": self.code.value,
            "until": self.until,
            "is_paused": self.is_paused,
            "paused_until": self.paused_until,
            "is_shared": self.is_shared,
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
            bool(stored.get("is_shared")),
        )


def as_text(value: Any) -> Any:
    """A value for JSON: a moment in ISO form, anything else as it is."""
    return value.isoformat() if isinstance(value, dt.datetime) else value


def as_moment(stored: str | None) -> dt.datetime | None:
    """The moment that `as_text` wrote; None for nothing."""
    return dt.datetime.fromisoformat(stored) if stored else None
