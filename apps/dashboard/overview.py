"""What a subscriber sees, read in one statement from our own rows: no call leaves, whatever Stripe or Keycloak do."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _

from apps.accounts.models import UserProfile
from apps.billing import own_invoices
from apps.catalog.translated import text_of
from apps.core import clock
from apps.core.money import name_period
from apps.core.states import AccessState, SubscriptionStatus, values_where
from apps.dashboard.app_cards import AppCard, as_moment, read_card, web_address
from apps.onboarding import contract_ends

# Subscriptions whose lines are shown, and those of them that will charge again.
SHOWN = values_where(SubscriptionStatus, lambda one: one.pays)

STATEMENT = """
WITH lines AS (
    SELECT i.id, i.product_id, i.quantity, i.unit_amount, i.currency, i.interval, i.interval_count, i.current_period_end,
           s.stripe_id, s.status, s.cancel_at, s.after_trial, s.trial_end, s.id AS subscription, s.next_charge, s.next_charge_currency,
           s.next_charge_tax,
           s.pause <> '' AND coalesce(s.pause_ends_at > %(now)s, true) AS paused, s.pause_ends_at
    FROM billing_usersubscriptionitem i JOIN billing_subscription s ON s.id = i.subscription_id
    WHERE i.profile_id = %(profile)s AND s.status = ANY(%(shown)s)
), owed AS (
    SELECT s.open_invoice_url AS url, s.past_due_since AS since, s.currency, v.stripe_data->'amount_remaining' AS amount_remaining,
           v.stripe_data->'amount_due' AS amount_due, v.stripe_data->'amount_paid' AS amount_paid
    FROM billing_subscription s LEFT JOIN djstripe_invoice v ON v.id = s.open_invoice_id
    WHERE s.open_invoice_url <> '' AND NOT s.is_payment_pending AND s.id IN (SELECT subscription FROM lines)
), given AS (
    SELECT product_id AS id FROM lines
    UNION
    SELECT p.product_id FROM access_accessoverride o
    JOIN access_accessoverride_products p ON p.accessoverride_id = o.id
    WHERE o.profile_id = %(profile)s AND o.kind = 'grant' AND o.lifted_at IS NULL
      AND o.starts_at <= %(now)s AND o.ends_at > %(now)s
    UNION
    SELECT i.product_id FROM accounts_userprofile me JOIN accounts_membership m ON m.id = me.membership_id AND m.ended_at IS NULL
    JOIN billing_usersubscriptionitem i ON i.profile_id = m.payer_id
    JOIN billing_subscription s ON s.id = i.subscription_id AND s.status = ANY(%(shown)s)
    JOIN catalog_product c ON c.id = i.product_id AND c.people > 0 WHERE me.id = %(profile)s
), apps AS (
    SELECT id FROM given
    UNION SELECT n.to_product_id FROM catalog_product_includes n JOIN given ON given.id = n.from_product_id
    UNION SELECT product_id FROM instances_seat WHERE profile_id = %(profile)s AND state IN ('assigned', 'retained')
)
SELECT json_build_object(
    'questions', (SELECT count(*) FROM operations_seatmove m JOIN operations_seatplan p ON p.id = m.plan_id
        WHERE m.profile_id = %(profile)s AND m.state = 'asked' AND p.state <> 'ended'),
    'updating', EXISTS (SELECT FROM core_job WHERE kind = 'mirror_customer' AND key = %(customer)s
        AND state IN ('queued', 'running') AND importance < 3)
        OR EXISTS (SELECT FROM core_job WHERE kind = 'end_contract' AND key LIKE %(profile)s || ':%%'
        AND state IN ('queued', 'running')),
    'stated', EXISTS (SELECT FROM core_job WHERE kind = 'end_contract' AND key LIKE %(profile)s || ':%%'
        AND state IN ('queued', 'running', 'blocked', 'dead')),
    'owed', (SELECT coalesce(json_agg(owed ORDER BY owed.since), '[]') FROM owed),
    'is_for_several', EXISTS (SELECT FROM lines l JOIN catalog_product p ON p.id = l.product_id AND p.people > 0 AND l.quantity > 0),
    'lines', (SELECT coalesce(json_agg(row ORDER BY (row.placement = 'plan') DESC, row.position, row.id), '[]') FROM (
        SELECT l.*, coalesce(p.name, '') AS name, coalesce(p.name_de, '') AS name_de, coalesce(p.placement, '') AS placement,
               coalesce(p.position, 0) AS position
        FROM lines l LEFT JOIN catalog_product p ON p.id = l.product_id) row),
    'apps', (SELECT coalesce(json_agg(row ORDER BY row.position, row.name), '[]') FROM (
        SELECT p.slug, p.name, p.summary, p.icon, p.position, p.needs_instance, p.first_steps, p.client_links, p.sync_address,
               p.guide_url, p.name_de, p.summary_de, p.first_steps_de, coalesce(s.state, '') AS seat, coalesce(n.name, '') AS instance, coalesce(n.url, '') AS url,
               coalesce(n.location, '') AS location, coalesce(n.country, '') AS country, coalesce(n.notice, '') AS notice,
               n.notice_from, n.notice_until, a.used, a.quota_found AS quota
        FROM apps JOIN catalog_product p ON p.id = apps.id AND p.is_app
        LEFT JOIN instances_seat s ON s.product_id = p.id AND s.profile_id = %(profile)s AND s.state <> 'released'
        LEFT JOIN instances_instance n ON n.id = s.instance_id
        LEFT JOIN instances_productaccount a ON a.instance_id = n.id AND a.profile_id = %(profile)s
            AND a.state NOT IN ('leaving', 'deleted')) row))
"""


@dataclass(frozen=True)
class PaidLine:
    """One thing that is paid for; `total` in minor units for all of its quantity, None: it depends on the use.

    `period`: a month, every 3 months.
    """

    name: str
    is_plan: bool
    quantity: int
    total: int | None
    currency: str
    period: str


@dataclass(frozen=True)
class Charge:
    """The next charge: when, and how much in minor units (None: it depends on the use); `tax`: how much of it is tax, if known."""

    at: dt.datetime
    amount: int | None
    currency: str
    tax: int | None = None


@dataclass(frozen=True)
class OwedInvoice:
    """An invoice that is late: its page at Stripe, what is still to be paid (None: not known), and since when it is late."""

    url: str
    amount: int | None
    currency: str
    since: dt.datetime | None


@dataclass(frozen=True)
class Overview:
    """The whole page. `ends_at`: the subscription has been canceled and runs until then.

    `is_paused`: nothing is collected for now, or until `paused_until`. `questions`: moves of a seat that wait for an answer.
    `lapses_at`: when a trial ends that has no card. `is_updating`: a change at Stripe is being fetched.
    `stated_ends`: by subscription when a contract ends that they ended, while that is not carried out; `ends_at` says so already.
    """

    apps: tuple[AppCard, ...]
    lines: tuple[PaidLine, ...]
    charges: tuple[Charge, ...]
    ends_at: dt.datetime | None
    lapses_at: dt.datetime | None
    owed: tuple[OwedInvoice, ...]
    is_paused: bool
    paused_until: dt.datetime | None
    questions: int = 0
    is_for_several: bool = False
    is_updating: bool = False
    stated_ends: contract_ends.Ends = field(default_factory=dict)

    @property
    def open_invoice(self) -> OwedInvoice | None:
        """The invoice that has been late for longest."""
        return next(iter(self.owed), None)

    @property
    def may_stay(self) -> bool:
        """Whether a subscription that ends can still go on."""
        return self.ends_at is not None and self.ends_at > clock.now()

    @property
    def plan(self) -> PaidLine | None:
        """The plan among the lines."""
        return next((line for line in self.lines if line.is_plan), None)


def of(profile: UserProfile) -> Overview:
    """The overview of one subscriber: one query; four more while an end that they stated is not carried out."""
    customer = profile.stripe_customer_id or ""
    values: dict[str, Any] = {"profile": profile.pk, "customer": customer, "shown": SHOWN, "now": clock.now()}
    with connection.cursor() as cursor:
        cursor.execute(STATEMENT, values)
        (found,) = cursor.fetchone()
    usable = AccessState(profile.access_state).has_access
    lines = found["lines"]
    ends = contract_ends.find_stated_ends(profile) if found["stated"] else {}
    for row in lines:
        end = ends.get(row["stripe_id"])
        row["cancel_at"] = end.isoformat() if end else row["cancel_at"]
    pauses = [row["pause_ends_at"] for row in lines if row["paused"]]
    return Overview(
        apps=tuple(read_card(row, usable=usable, username=profile.user.username) for row in found["apps"]),
        lines=tuple(_line(row) for row in lines),
        charges=_next_charges(lines),
        ends_at=min((as_moment(row["cancel_at"]) for row in lines if row["cancel_at"]), default=None),
        lapses_at=min((as_moment(row["trial_end"]) for row in lines if _lapses(row)), default=None),
        owed=tuple(_owed(row) for row in found["owed"] if web_address(row["url"])),
        is_paused=bool(pauses),
        paused_until=max((as_moment(one) for one in pauses if one), default=None) if None not in pauses else None,
        questions=found["questions"],
        is_for_several=found["is_for_several"],
        is_updating=found["updating"],
        stated_ends=ends,
    )


def _line(row: dict[str, Any]) -> PaidLine:
    return PaidLine(
        name=text_of(row, "name") or _("Other"),
        is_plan=row["placement"] == "plan",
        quantity=row["quantity"],
        total=_total(row),
        currency=row["currency"],
        period=name_period(row["interval"], row["interval_count"]),
    )


def _total(row: dict[str, Any]) -> int | None:
    return None if row["unit_amount"] is None else row["quantity"] * row["unit_amount"]


def _owed(row: dict[str, Any]) -> OwedInvoice:
    known = row["amount_due"] is not None
    return OwedInvoice(
        url=row["url"],
        amount=own_invoices.owed(row) if known else None,
        currency=row["currency"],
        since=as_moment(row["since"]) if row["since"] else None,
    )


def _next_charges(lines: Iterable[dict[str, Any]]) -> tuple[Charge, ...]:
    """What is charged at the nearest moment, one per currency (in practice one).

    Lines that end before it cost nothing, and nothing is charged while payments are paused.

    Stripe's own sum counts where we have it: discounts, credit and tax are in it. What depends on the use has none yet.
    """
    due = [
        (as_moment(row["current_period_end"]), row)
        for row in lines
        if SubscriptionStatus(row["status"]).may_give_access
        and row["current_period_end"]
        and not row["cancel_at"]
        and not _lapses(row)
    ]
    due = [(moment, row) for moment, row in due if not _is_paused_at(moment, row)]
    if not due:
        return ()
    first = min(moment for moment, _ in due)
    soon = [row for moment, row in due if moment.date() == first.date()]
    unknown = {row["subscription"] for row in soon if row["unit_amount"] is None}
    told = {
        row["subscription"]: row
        for row in soon
        if row["next_charge"] is not None and row["subscription"] not in unknown
    }
    sums = [(row["next_charge_currency"], row["next_charge"]) for row in told.values()]
    sums += [(row["currency"], _total(row)) for row in soon if row["subscription"] not in told]
    amounts: dict[str, int | None] = {}
    for currency, more in sums:
        before = amounts.get(currency, 0)
        amounts[currency] = None if before is None or more is None else before + more
    taxes = Counter[str]()
    for row in told.values():
        taxes[row["next_charge_currency"]] += row["next_charge_tax"] or 0
    return tuple(Charge(first, amount, currency, taxes[currency] or None) for currency, amount in amounts.items())


def _lapses(row: dict[str, Any]) -> bool:
    return bool(row["after_trial"] and row["trial_end"] and not row["cancel_at"])


def _is_paused_at(moment: dt.datetime, row: dict[str, Any]) -> bool:
    return row["paused"] and (row["pause_ends_at"] is None or moment < as_moment(row["pause_ends_at"]))
