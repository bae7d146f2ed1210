"""The tiles at the top of the first page: one question each, how many, since when, and where to look."""

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.urls import reverse

if TYPE_CHECKING:
    from apps.console.dashboard import Numbers


@dataclass(frozen=True)
class Tile:
    """One question at the top of the page: how many, since when, where to look. `alarm` is its colour unless it is 0."""

    title: str
    count: int
    icon: str
    words: str
    page: str
    since: dt.datetime | None = None
    alarm: str = "bad"

    @property
    def url(self) -> str:
        """The list that answers it."""
        name, _, query = self.page.partition("?")
        return reverse(f"admin:{name}_changelist") + (f"?{query}" if query else "")

    @property
    def tone(self) -> str:
        return self.alarm if self.count else "good"

    @property
    def note(self) -> str:
        return self.words if self.count else "None"


def tiles(found: "Numbers") -> list[Tile]:
    """The questions; they do not move, so that a glance finds them."""
    late = "bad" if found.late_seconds > 120 else "busy"
    worst = "blocked" if found.blocked else "dead"
    mails = found.mails_failed + found.mails_uncertain
    return [
        Tile(
            "Needs attention",
            found.stuck,
            "front_hand",
            f"{found.blocked} need a decision, {found.dead} gave up",
            f"core_job?state__exact={worst}",
        ),
        Tile(
            "Waiting for a seat",
            found.waits,
            "airline_seat_recline_extra",
            "Paid, no seat",
            "instances_seatwait",
            found.waits_since,
        ),
        Tile(
            "Emails not delivered",
            mails,
            "unsubscribe",
            f"{found.mails_failed} not sent, {found.mails_uncertain} possibly sent",
            f"notifications_notification?state__exact={'failed' if found.mails_failed else 'uncertain'}",
            alarm="warn",
        ),
        Tile(
            "Events waiting",
            found.events,
            "inbox",
            "Received, not processed",
            "billing_inboundevent?state__exact=received",
            found.events_since,
            late,
        ),
        Tile(
            "Syncs in progress",
            found.pending,
            "sync",
            "Subscribers not yet up to date",
            "accounts_userprofile",
            found.pending_since,
            late,
        ),
    ]
