"""What the policy answers: the state, and what account, entitlements and seats should be. No Django, no I/O."""

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from apps.catalog.entitlements import NOTHING, Entitlements
from apps.core.reasons import Reason
from apps.core.states import AccessState


class Account(StrEnum):
    """What the Keycloak account should be. `untouched`: none is needed; one left over from a grant is closed.

    `as_is`: a fact that decides is not known, so nothing is changed.
    """

    ENABLED = "enabled"
    DISABLED = "disabled"
    UNTOUCHED = "untouched"
    AS_IS = "as_is"


class SeatDecision(StrEnum):
    """What should happen to the subscriber's seats."""

    ASSIGNED = "assigned"
    RETAINED = "retained"
    RELEASED = "released"
    UNTOUCHED = "untouched"


@dataclass(frozen=True)
class Decision:
    """What should be, why, and until when. `reconcile_at`: when time alone may change it next.

    `partial`: something that is paid is not known, so nothing is taken away that may belong to it. `grace_ends`: of each late
    subscription that is still within its grace, when that is over. `kept`: apps that give no access now and whose seat waits
    nevertheless, until `kept_until` if time alone ends that: those of subscriptions that may come back, and under a hold those
    that are paid. `demanded`: in incident mode, what billing demands; this decision takes nothing of it.
    """

    state: AccessState
    account: Account
    seats: SeatDecision
    reason: Reason
    entitlements: Entitlements = NOTHING
    kept: frozenset[str] = frozenset()
    kept_until: dt.datetime | None = None
    partial: bool = False
    trace: tuple[str, ...] = ()
    until: dt.datetime | None = None
    reconcile_at: dt.datetime | None = None
    final_expiry_at: dt.datetime | None = None
    grace_ends: tuple[tuple[str, dt.datetime], ...] = ()
    subscription_id: str = ""
    demanded: "Decision | None" = None

    @property
    def is_held_back(self) -> bool:
        """Billing demands another state, and incident mode holds it back."""
        return self.demanded is not None and self.demanded.state != self.state
