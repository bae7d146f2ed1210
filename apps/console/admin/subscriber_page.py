"""Everything the subscriber's page shows, gathered from all apps: the decision and why, and what there is of each kind.

Promises: no call to anywhere (the plan, which asks Keycloak, is `preview_plan` and is loaded separately); each list is short
and newest first; nothing secret.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from apps.access import reconcile
from apps.access.facts import read_facts
from apps.access.forecast import forecast
from apps.access.models import LastSync
from apps.access.policy import Decision, Facts, SeatDecision, decide
from apps.access.upcoming import Upcoming
from apps.accounts.models import UserProfile
from apps.billing.subscriptions import SubscriptionState, read_subscriptions
from apps.catalog.entitlements import describe_number
from apps.catalog.models import Product
from apps.console.admin import subscriber_timeline
from apps.console.admin.subscriber_billing import describe_flags
from apps.console.admin.subscriber_tables import TABS, count_rows
from apps.console.tables import May, Table
from apps.console.timeline_lines import TimelineLine
from apps.core import clock
from apps.core.dates import day
from apps.core.errors import WorkError
from apps.core.models import Job
from apps.core.money import format_money
from apps.core.states import SubscriptionStatus, Tone, values_where
from apps.instances.capacity import have_room
from apps.instances.models import Seat
from apps.operations.erasure_receipts import Receipt, read_receipt


@dataclass(frozen=True)
class TabCard:
    """A tab beside the timeline: how many rows it has, and its table, which is read when the tab opens."""

    key: str
    title: str
    count: int
    table: Table | None


@dataclass(frozen=True)
class Page:
    """The page. `held_until`: the end of incident mode; `agrees`: the last sync still matches the decision; `money`: sentences about what was paid; `flags`: disputes and refunds; `notes`: how many of staff; `opened`: a tab's key.

    `receipt`: of somebody who was erased.
    """

    profile: UserProfile
    decision: Decision
    upcoming: tuple[Upcoming, ...]
    held_until: dt.datetime | None
    agrees: bool
    entitlements: tuple[str, ...]
    money: tuple[str, ...]
    flags: tuple[tuple[str, Tone], ...]
    notes: int
    tabs: tuple[TabCard, ...]
    opened: str
    timeline: tuple[TimelineLine, ...]
    timeline_url: str
    receipt: Receipt | None


@dataclass(frozen=True)
class LastSyncCard:
    """`last`: what the last sync, or the tries of the present one, did. `in_progress` and `stopped`: the jobs, if any."""

    profile: UserProfile
    last: LastSync | None
    in_progress: Job | None
    stopped: Job | None

    @property
    def moving(self) -> bool:
        """Whether it will change automatically: a sync is requested and has not given up."""
        return self.in_progress is not None or (self.profile.pending_since is not None and self.stopped is None)


@dataclass(frozen=True)
class MissingSeat:
    """A product somebody should have a seat of and has not."""

    product: Product
    has_room: bool


def read_decision(profile: UserProfile) -> Decision:
    """What the policy decides from our rows."""
    return decide(read_facts_once(profile))


def read_facts_once(profile: UserProfile) -> Facts:
    """What the policy may know; read once for each row object."""
    if "console_facts" not in profile.__dict__:
        profile.__dict__["console_facts"] = read_facts(profile, states=read_states(profile))
    found: Facts = profile.__dict__["console_facts"]
    return found


def read_states(profile: UserProfile) -> tuple[SubscriptionState, ...]:
    """The customer's subscriptions, the oldest first; read once for each row object."""
    if "console_states" not in profile.__dict__:
        profile.__dict__["console_states"] = read_subscriptions(profile.stripe_customer_id)
    found: tuple[SubscriptionState, ...] = profile.__dict__["console_states"]
    return found


def read_page(profile: UserProfile, *, may: May, opened: str = "") -> Page:
    """Gather what is shown at once, and the table of the `opened` tab: a dozen queries, none of them growing with the person."""
    decision = read_decision(profile)
    grants = [describe_number(name, amount) for name, amount in sorted(decision.entitlements.grants.items())]
    counts = count_rows(profile)
    return Page(
        profile=profile,
        decision=decision,
        upcoming=forecast(read_facts_once(profile)),
        held_until=freeze.until if (freeze := read_facts_once(profile).freeze) else None,
        agrees=decision.state.value == profile.access_state and profile.pending_since is None,
        entitlements=(*sorted(decision.entitlements.apps), *grants),
        money=tuple(describe_money(profile)),
        flags=tuple(describe_flags(read_states(profile))),
        notes=counts["notes"],
        tabs=tuple(
            TabCard(tab.key, tab.title, counts[tab.key], tab.read(profile, may) if tab.key == opened else None)
            for tab in TABS
        ),
        opened=opened if opened in counts else "timeline",
        timeline=subscriber_timeline.read_first(profile),
        timeline_url=reverse("admin:accounts_userprofile_timeline", args=[profile.pk]),
        receipt=read_receipt(profile),
    )


def describe_money(profile: UserProfile) -> Iterator[str]:
    """What was paid for the period of each running subscription, and until when a pause lasts."""
    running = values_where(SubscriptionStatus, lambda one: one.pays)
    for row in (one for one in read_states(profile) if one.status in running):
        if row.paid_for_period is not None and row.left_of_period is not None and row.currency:
            amounts = (row.paid_for_period, row.paid_for_period - row.left_of_period, row.left_of_period)
            paid, returned, left = (format_money(one, row.currency) for one in amounts)
            period = "the last paid period" if SubscriptionStatus(row.status).is_late else "this period"
            yield f"Paid for {period}: {paid}, returned: {returned}, left: {left}"
        if row.pause and (row.pause_ends_at is None or row.pause_ends_at > clock.now()):
            until = f"until {day(row.pause_ends_at)}" if row.pause_ends_at else "until somebody resumes it at Stripe"
            yield f"Collection is paused {until}"


def read_last_sync(profile: UserProfile) -> LastSyncCard:
    """How the last sync went, and whether one is in progress."""
    found = (reconcile.in_progress() | reconcile.failed_or_blocked()).filter(key=str(profile.pk)).order_by("-pk")
    jobs = list(found)
    in_progress = next((one for one in jobs if one.state not in Job.GIVEN_UP), None)
    stopped = None if in_progress else next(iter(jobs), None)
    return LastSyncCard(profile, getattr(profile, "last_sync", None), in_progress, stopped)


def preview_plan(profile: UserProfile, known: Facts | None = None) -> dict[str, Any]:
    """What a sync would change, now or by facts that are imagined, for console/dialogs/plan.html.

    It asks Keycloak, and says so when it is away.
    """
    try:
        preview = reconcile.preview(profile, known)
    except WorkError as error:
        return {"problem": error.reason}
    return {"preview": preview, "steps": [step.sentence for step in preview.steps]}


def find_missing_seats(profile: UserProfile) -> list[MissingSeat]:
    """The products this person should have a seat of now and has not."""
    decision = read_decision(profile)
    if decision.seats != SeatDecision.ASSIGNED:
        return []
    taken = Seat.objects.filter(profile=profile, state=Seat.State.ASSIGNED).values("product")
    products = list(Product.objects.filter(slug__in=decision.entitlements.seats).exclude(pk__in=taken))
    has_room = have_room(products)
    return [MissingSeat(product, has_room[product.pk]) for product in products]


def explain_due_seat(seat: Seat) -> str:
    """Why a seat cannot be released: the reconciler would assign it again. Empty when it can."""
    decision = read_decision(seat.profile)
    if decision.seats != SeatDecision.ASSIGNED or seat.product.slug not in decision.entitlements.seats:
        return ""
    return (
        f"{seat.profile} is entitled to {seat.product.name}, so the next sync would give a seat back at once. "
        "Move it instead, or put a hold on the subscriber first."
    )
