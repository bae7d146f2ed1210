"""How the first page lays its numbers out: each with its question, its tone, and the list that has exactly that many rows."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apps.accounts.models import UserProfile
from apps.billing.models import InboundEvent
from apps.billing.stripe_objects import MIRRORED
from apps.console.inbox import rows_url, title_of
from apps.console.navigation import list_url
from apps.console.saved_views import PARAMETER, count_text
from apps.core import jobs
from apps.core.models import Job, LawCheck
from apps.core.money import format_money
from apps.core.states import Tone
from apps.instances.models import Seat, SeatWait
from apps.notifications.models import Notification
from apps.operations.models import Drift

if TYPE_CHECKING:
    from apps.console.dashboard import Numbers

LATE_SECONDS = 120
RUNS = ("sweep_access", "reconcile_all", "compare_subscriptions", "compare_keycloak")  # whose last end the page shows
INVOICE = next(model for model in MIRRORED if model.__name__ == "Invoice")


@dataclass(frozen=True, kw_only=True)
class Number:
    """A number and the list of its rows. `text`: shown instead of the count, as a sum of money is; `alarm`: its colour unless it is 0."""

    title: str
    rows: int
    url: str
    icon: str = ""
    text: str = ""
    note: str = ""
    since: dt.datetime | None = None
    alarm: Tone = Tone.CALM

    @property
    def shown(self) -> str:
        return self.text or count_text(self.rows)

    @property
    def tone(self) -> Tone:
        return self.alarm if self.rows else Tone.GOOD


@dataclass(frozen=True)
class Layout:
    """The parts of the page, from the top."""

    causes: list[Number]
    money: list[Number]
    people: list[Number]
    work: list[Number]
    runs: list[tuple[str, dt.datetime | None]]


def lay_out(found: Numbers) -> Layout:
    return Layout(list_causes(found), list_money(found), list_people(found), list_work(found), list_runs(found))


def people_url(view: str) -> str:
    return list_url(UserProfile, **{PARAMETER: view})


def sums(amounts: list[tuple[str, int]]) -> str:
    """Money in each currency: €120 + $40."""
    return " + ".join(format_money(amount, currency) for currency, amount in amounts) or "–"


def list_causes(found: Numbers) -> list[Number]:
    """What the inbox shows, the oldest first."""
    return [
        Number(title=title_of(one), rows=one.rows, url=rows_url(one), since=one.since, alarm=Tone.WARN)
        for one in found.problems
    ]


def list_money(found: Numbers) -> list[Number]:
    owing = sum(count for *_, count in found.owed)
    payers = found.views["paying"]
    return [
        Number(
            title="Revenue per month", icon="payments", rows=payers, url=people_url("paying"), text=sums(list(found.revenue)),
            note=f"From {payers:,} subscriber{'' if payers == 1 else 's'}, before discounts and tax; of yearly prices a twelfth",
        ),
        Number(title="New this month", icon="person_add", rows=found.views["new"], url=people_url("new"), note="Their paid time began"),
        Number(title="Lost this month", icon="person_remove", rows=found.views["lost"], url=people_url("lost"), note="Their subscription ended"),
        Number(
            title="Money at risk", icon="credit_card_off", rows=owing, url=list_url(INVOICE, **{PARAMETER: "open"}), alarm=Tone.WARN,
            text=sums([(currency, amount) for currency, amount, _ in found.owed]) if owing else "",
            note=f"{owing:,} open {'invoice' if owing == 1 else 'invoices'}" if owing else "No invoice is open",
        ),
    ]  # fmt: skip


def list_people(found: Numbers) -> list[Number]:
    views = found.views
    return [
        Number(
            title="Waiting for access", icon="hourglass_top", rows=views["waiting"], url=people_url("waiting"), alarm=Tone.BUSY,
            note="Paid, and not let in yet" if views["waiting"] else "Everyone who paid is in",
        ),
        Number(
            title="Waiting for a seat", icon="airline_seat_recline_extra", rows=found.waits, url=list_url(SeatWait), alarm=Tone.BAD,
            note="Paid, and no instance has room" if found.waits else "Everyone has one",
        ),
        Number(title="Sync failed", icon="sync_problem", rows=views["stuck"], url=people_url("stuck"), alarm=Tone.BAD, note="Subscribers whose access needs you" if views["stuck"] else "Every sync worked"),
        Number(title="Trials ending", icon="timer", rows=views["trials_ending"], url=people_url("trials_ending"), note="Within 7 days"),
        Number(title="Renewals", icon="autorenew", rows=views["renewing"], url=people_url("renewing"), note="Within 7 days"),
    ]  # fmt: skip


def list_work(found: Numbers) -> list[Number]:
    """Our own work: what is broken, and what waits."""
    late = Tone.BAD if found.late_seconds > LATE_SECONDS else Tone.BUSY
    return [
        Number(title="Stuck jobs", rows=found.stuck, url=list_url(Job, **{PARAMETER: "stuck"}), alarm=Tone.BAD),
        Number(title="Differs in Keycloak", rows=found.drift_count, url=list_url(Drift), alarm=Tone.WARN),
        Number(title="Laws violated", rows=found.laws_violated, url=list_url(LawCheck, **{PARAMETER: "violated"}), alarm=Tone.BAD),
        Number(title="Emails not delivered", rows=found.emails_undelivered, url=list_url(Notification, **{PARAMETER: "undelivered"}), alarm=Tone.WARN),
        Number(title="Events waiting", rows=found.events, url=list_url(InboundEvent, state__exact="received"), since=found.events_since, alarm=late),
        Number(title="Syncs in progress", rows=found.views["syncing"], url=people_url("syncing"), since=found.pending_since, alarm=late),
        Number(title="Seats held, not paid", rows=found.held, url=list_url(Seat, state__exact="reserved")),
    ]  # fmt: skip


def list_runs(found: Numbers) -> list[tuple[str, dt.datetime | None]]:
    """The sweeps and comparisons, and when each last ended."""
    return [(jobs.kind_label(kind), found.runs.get(kind)) for kind in RUNS]
