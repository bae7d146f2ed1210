"""The numbers of the business for `/metrics` (see core/metrics.py)."""

from collections import Counter
from functools import partial

from apps.core import metrics
from apps.core.kept import Kept

PEOPLE_SECONDS = 60
# Counting them reads everybody; the console's first page shows the same numbers: state, currency, people, minor units a month.
TOTALS = Kept(
    partial(
        metrics.read_rows,
        "SELECT access_state, monthly_currency, count(*), coalesce(sum(monthly_amount), 0) FROM accounts_userprofile GROUP BY 1, 2",
    ),
    seconds=PEOPLE_SECONDS,
)


def count_people() -> metrics.Rows:
    """Subscribers by access state."""
    found = Counter[str]()
    for state, _, count, _ in TOTALS.get():
        found[state] += count
    return list(found.items())


def sum_revenue() -> metrics.Rows:
    """What subscribers pay in a month, by currency."""
    found = Counter[str]()
    for _, currency, _, amount in TOTALS.get():
        found[currency] += int(amount)
    return [(currency, amount) for currency, amount in found.items() if currency]


GAUGES: list[metrics.Gauge] = [
    (
        "frontdesk_events_waiting",
        "Inbound events not yet handled",
        [],
        "SELECT count(*) FROM billing_inboundevent WHERE state = 'received'",
    ),
    (
        "frontdesk_events_not_ours",
        "Inbound events that concern no subscriber of ours",
        [],
        "SELECT count(*) FROM billing_inboundevent WHERE state = 'not_ours'",
    ),
    (
        "frontdesk_subscribers",
        "Subscribers by access state",
        ["state"],
        count_people,
    ),
    (
        "frontdesk_monthly_revenue",
        "What subscribers pay in a month, before discounts and tax, in minor units",
        ["currency"],
        sum_revenue,
    ),
    (
        "frontdesk_paid_without_access_seconds",
        "How long the longest waiting subscriber has waited for a sync",
        [],
        "SELECT coalesce(extract(epoch FROM now() - min(pending_since)), 0) FROM accounts_userprofile",
    ),
    (
        "frontdesk_safeguard_reviews_open",
        "Sweeps that wait for staff because too many would lose access",
        [],
        "SELECT count(*) FROM operations_safeguardreview WHERE state = 'pending'",
    ),
    (
        "frontdesk_losses_held_back",
        "Subscribers of whom incident mode holds something back, or who wait for a decision after it",
        [],
        "SELECT count(*) FROM access_heldbackloss",
    ),
    (
        "frontdesk_incidents_open",
        "Times of incident mode that have not ended",
        [],
        "SELECT count(*) FROM access_accessfreeze WHERE ended_at IS NULL",
    ),
    (
        "frontdesk_seats",
        "Live seats by instance",
        ["instance"],
        "SELECT slug, allocated_seats FROM instances_instance WHERE is_active",
    ),
    (
        "frontdesk_seats_by_state",
        "Live seats by instance and state; reserved ones are held and not paid",
        ["instance", "state"],
        "SELECT slug, state, count FROM instances_instance, LATERAL (VALUES ('reserved', reserved), ('assigned', assigned),"
        " ('retained', retained)) AS live (state, count) WHERE is_active",
    ),
    (
        "frontdesk_seat_cap",
        "Allocation cap by instance",
        ["instance"],
        "SELECT slug, allocation_cap FROM instances_instance WHERE is_active",
    ),
]


def register() -> None:
    """Add them to what `/metrics` shows."""
    metrics.GAUGES.extend(GAUGES)
