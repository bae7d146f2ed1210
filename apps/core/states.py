"""The states of a subscriber's access, shared by the pure policy and the models. No Django in here."""

from enum import StrEnum


class AccessState(StrEnum):
    """A subscriber's access; the table in access/policy.py says when it is which."""

    NONE = "none"
    ACTIVE = "active"
    GRACE = "grace"
    SUSPENDED = "suspended"
    RECOVERING = "recovering"
    CANCELED = "canceled"
    EXPIRED = "expired"
    ON_HOLD = "on_hold"


LABELS = {
    AccessState.NONE: "Never paid",
    AccessState.ACTIVE: "Active",
    AccessState.GRACE: "Payment late",
    AccessState.SUSPENDED: "Suspended",
    AccessState.RECOVERING: "Recovering",
    AccessState.CANCELED: "Canceled",
    AccessState.EXPIRED: "Expired",
    AccessState.ON_HOLD: "On hold",
}
