"""One change that comes by itself at a date: stored as a code with its parameters, told in the language that is active."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from apps.core.reasons import as_moment, as_text
from apps.core.states import AccessState


class Change(StrEnum):
    """What happens at a date. In the order in which changes of one moment are told."""

    PAYMENT_DUE = "payment_due"
    PAYMENT_ATTEMPT = "payment_attempt"
    TRIAL_ENDS = "trial_ends"
    TRIAL_LAPSES = "trial_lapses"
    RENEWS = "renews"
    PERIOD_ENDS = "period_ends"
    BILLING_RESUMES = "billing_resumes"
    SUBSCRIPTION_ENDS = "subscription_ends"
    GRACE_ENDS = "grace_ends"
    OVERRIDE_BEGINS = "override_begins"
    OVERRIDE_ENDS = "override_ends"
    RECOVERY_CLOSES = "recovery_closes"
    CHECKOUT_ENDS = "checkout_ends"
    KEPT_SEAT_ENDS = "kept_seat_ends"
    FINAL_EXPIRY = "final_expiry"
    FREEZE_ENDS = "freeze_ends"


@dataclass(frozen=True)
class Upcoming:
    """One change: `state` is what access is from then on. `about`: the subscription's id, or the kind of an override.

    `attempt`: which try to collect the payment it is, the first counts as 1; `attempts`: of how many, None when not known.
    `is_loss`: apps close, or everything is given up, at that moment. `is_shared`: it is about what another subscriber pays.
    """

    at: dt.datetime
    change: Change
    state: AccessState
    about: str = ""
    attempt: int | None = None
    attempts: int | None = None
    is_loss: bool = False
    is_shared: bool = False

    def as_json(self) -> dict[str, Any]:
        """For a JSON column; what is not set is left out."""
        return {name: as_text(value) for name, value in vars(self).items() if value}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self | None:
        """What `as_json` made; None for a change of another release."""
        at = as_moment(stored.get("at"))
        if at is None or stored.get("change") not in set(Change) or stored.get("state") not in set(AccessState):
            return None
        rest = {
            name: stored[name] for name in ("about", "attempt", "attempts", "is_loss", "is_shared") if name in stored
        }
        return cls(at, Change(stored["change"]), AccessState(stored["state"]), **rest)

    @property
    def sentence(self) -> str:
        """For the subscriber, without the date; empty for what only staff need to know."""
        if self.is_shared and self.change in SHARED:
            return self._shared_sentence()
        if self.change == Change.SUBSCRIPTION_ENDS:
            closes = _("Your subscription ends. Your apps close, and your data is kept.")
            return closes if self.is_loss else _("Your subscription ends.")
        if self.change == Change.TRIAL_LAPSES:
            return self._trial_lapses()
        if self.change == Change.OVERRIDE_ENDS:
            return self._override_ends()
        if self.change == Change.PAYMENT_ATTEMPT:
            return self._payment_attempt()
        return _(SENTENCES[self.change]) if self.change in SENTENCES else ""

    def _shared_sentence(self) -> str:
        """For somebody for whom another subscriber pays; empty for what only that one does."""
        if self.change == Change.GRACE_ENDS:
            return _("If it isn't paid by then, your apps are paused. Your data is safe.")
        if self.change == Change.SUBSCRIPTION_ENDS:
            closes = _("The subscription that you share ends. Your apps close, and your data is kept.")
            return closes if self.is_loss else _("The subscription that you share ends.")
        if self.change == Change.TRIAL_LAPSES:
            ends = _("The trial of the subscription that you share ends.")
            closes = _(
                "If the person who pays hasn't added a card by then, your apps close. Your data is kept for a while."
            )
            return f"{ends} {closes}" if self.is_loss else ends
        return ""

    @property
    def label(self) -> str:
        """For staff, without the date."""
        what = LABELS[self.change].format(about=self.about.replace("_", " ").capitalize())
        return what + self._attempt()

    def _attempt(self) -> str:
        if not self.attempt:
            return ""
        return f" (attempt {self.attempt} of {self.attempts})" if self.attempts else f" (attempt {self.attempt})"

    def _payment_attempt(self) -> str:
        if self.attempt and self.attempts:
            told = _("We try to collect the open payment again (attempt {attempt} of {attempts}).")
            return told.format(attempt=self.attempt, attempts=self.attempts)
        if self.attempt:
            return _("We try to collect the open payment again (attempt {attempt}).").format(attempt=self.attempt)
        return _("We try to collect the open payment again.")

    def _trial_lapses(self) -> str:
        closes = _("If you haven't added a card by then, your apps close. Your data is kept for a while.")
        ends = _("Your trial ends.")
        return f"{ends} {closes}" if self.is_loss else ends

    def _override_ends(self) -> str:
        if self.about == "hold":
            return _("The hold on your account ends.")
        if self.about == "grant":
            closes = _("The access that we gave you ends. Your apps close.")
            return closes if self.is_loss else _("The access that we gave you ends.")
        return ""


SHARED = {Change.GRACE_ENDS, Change.SUBSCRIPTION_ENDS, Change.TRIAL_LAPSES, Change.BILLING_RESUMES}
SENTENCES = {
    Change.PAYMENT_DUE: gettext_noop("Your invoice is due."),
    Change.TRIAL_ENDS: gettext_noop("Your trial ends, and your first payment is due."),
    Change.RENEWS: gettext_noop("Your subscription renews, and the next payment is due."),
    Change.PERIOD_ENDS: gettext_noop("A new billing period begins. As things stand, you aren't charged for it."),
    Change.BILLING_RESUMES: gettext_noop("Billing starts again."),
    Change.GRACE_ENDS: gettext_noop("If you haven't paid by then, your apps are paused. Your data is safe."),
    Change.RECOVERY_CLOSES: gettext_noop("If you haven't paid by then, your account closes again. Your data is safe."),
    Change.CHECKOUT_ENDS: gettext_noop("Your open checkout ends."),
    Change.KEPT_SEAT_ENDS: gettext_noop("We remove the space and settings of your earlier subscription for good."),
    Change.FINAL_EXPIRY: gettext_noop("If you haven't come back by then, we remove your space and settings for good."),
}

LABELS = {
    Change.PAYMENT_DUE: "Invoice due",
    Change.PAYMENT_ATTEMPT: "Next payment attempt",
    Change.TRIAL_ENDS: "Trial ends, first payment",
    Change.TRIAL_LAPSES: "Trial ends, no card",
    Change.RENEWS: "Renews",
    Change.PERIOD_ENDS: "New period, not charged",
    Change.BILLING_RESUMES: "Billing resumes",
    Change.SUBSCRIPTION_ENDS: "Subscription ends",
    Change.GRACE_ENDS: "Grace ends",
    Change.OVERRIDE_BEGINS: "{about} begins",
    Change.OVERRIDE_ENDS: "{about} ends",
    Change.RECOVERY_CLOSES: "Recovery closes",
    Change.CHECKOUT_ENDS: "Checkout ends",
    Change.KEPT_SEAT_ENDS: "Seat of an earlier subscription released",
    Change.FINAL_EXPIRY: "Final expiry, seat released",
    Change.FREEZE_ENDS: "Held back by incident mode until then",
}


def read_stored(stored: list[dict[str, Any]], *, now: dt.datetime) -> tuple[Upcoming, ...]:
    """A stored forecast for the subscriber, without what has passed since it was made."""
    return told(one for one in read_all(stored) if one.at > now)


def read_all(stored: list[dict[str, Any]]) -> tuple[Upcoming, ...]:
    """A stored forecast as it was made, without changes of another release."""
    return tuple(found for one in stored if (found := Upcoming.from_json(one)))


def told(changes: Iterable[Upcoming]) -> tuple[Upcoming, ...]:
    """Those that the subscriber is told; the others only staff need to know."""
    return tuple(one for one in changes if one.sentence)


def next_attempt(stored: list[dict[str, Any]], *, now: dt.datetime) -> Upcoming | None:
    """Of a stored forecast, the next attempt to collect a payment that failed."""
    return next((one for one in read_stored(stored, now=now) if one.change == Change.PAYMENT_ATTEMPT), None)
