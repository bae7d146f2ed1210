"""What a database keeps: an idle system adds no row for ever, and a subscriber's year stays small."""

import djstripe.models
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.billing import copies, stripe_objects
from apps.core import clock, retention, sweep
from apps.sandbox.bench.rows import execute
from tests.world import World

# Rows that eleven renewals and their nights add at most; no other table grows.
YEARLY = {
    "operations_reportfigure": 24,  # of each day with a payment, by product; no more come with more people
    "djstripe_invoice": 11,
    "djstripe_charge": 11,
    "core_job": 12,
    "billing_inboundevent": 20,
    "djstripe_price": 2,
    "core_attentionitem": 8,  # those of laws that need a worker and a comparison of today; no more come with people
    "operations_customerchange": 1,  # the last one, which the next numbers follow; the others go after 30 days
    "core_retentioncheck": len(retention.RULES),  # one row for each, from the first check on
}
BYTES = 60 * 1024
PER_INDEX = 24  # bytes of an entry; most say the same as others, and are stored once


def measure_tables() -> dict[str, tuple[int, int]]:
    """Rows, and bytes with the indexes as they would be if the pages were full."""
    found = {}
    for name, indexes in execute(
        "SELECT relid::regclass::text, (SELECT count(*) FROM pg_index WHERE indrelid = relid) FROM pg_stat_user_tables"
    ):
        rows, size = execute(f"SELECT count(*), coalesce(sum(pg_column_size(t.*)), 0) FROM {name} t")[0]
        found[name] = int(rows), int(size) + int(rows) * int(indexes) * PER_INDEX
    return found


def pass_night(world: World, days: int = 1) -> None:
    """The periodic jobs, all of them, and what follows."""
    world.pass_time(days=days)
    sweep.start_periodic()
    world.deliver()


# What each night leaves until its retention is over, however many subscribe: the most rows that two nights leave. Of the daily
# figures, which are kept for two years, a few for each day.
KEPT_FOR_A_TIME = {"core_comparisonrun": 24, "core_lawcheck": 70, "operations_dailyfigure": 730 * 7}


@pytest.mark.long
def test_nobody_adds_nothing(world: World) -> None:
    """perf.md 7: without any subscriber 2.2 million rows of jobs a year."""
    pass_night(world)
    pass_night(world, days=31)  # what the catalog left is gone
    for _ in range(8):
        pass_night(world)
    before = measure_tables()
    for _ in range(8):
        pass_night(world)
    grown = {name: (before[name][0], rows) for name, (rows, _) in measure_tables().items() if rows != before[name][0]}
    assert grown.keys() <= KEPT_FOR_A_TIME.keys()
    pass_night(world, days=366)  # longer than anything of these is kept
    pass_night(world)
    left = measure_tables()
    assert {name: left[name][0] for name, most in KEPT_FOR_A_TIME.items() if left[name][0] > most} == {}


@pytest.mark.long
def test_a_year_of_a_subscriber_stays_small(world: World) -> None:
    """perf.md 7: 640 KB, of which bodies of events, nightly jobs, and what dj-stripe copies of each invoice."""
    world.subscriber("dana", personal=1, vaultwarden=1)
    pass_night(world)
    before = measure_tables()
    for _ in range(11):
        pass_night(world, days=31)
    for _ in range(8):
        pass_night(world)
    after = measure_tables()
    by_table = {name: size - before[name][1] for name, (_, size) in after.items() if name not in KEPT_FOR_A_TIME}
    assert sum(by_table.values()) < BYTES, sorted(by_table.items(), key=lambda one: -one[1])[:8]
    grown = {name: rows - before[name][0] for name, (rows, _) in after.items() if rows > before[name][0]}
    grown = {name: rows for name, rows in grown.items() if name not in KEPT_FOR_A_TIME}
    assert {name: rows for name, rows in grown.items() if rows > YEARLY.get(name, 0)} == {}


def shown(customer: str) -> dict[str, tuple[object, ...]]:
    found = stripe_objects.list_money(customer, limit=20)
    return {one.row.id: (one.kind, one.created, one.amount, one.currency, one.status, one.details) for one in found}


def test_pages_show_of_old_money_what_they_showed_before(world: World) -> None:
    dana = world.subscriber("dana")
    customer, charge = str(dana.stripe_customer_id), world.charge(dana)
    before = shown(customer)
    world.pass_time(days=100)
    retention.prune_all()
    old = [djstripe.models.Charge.objects.get(id=charge), djstripe.models.Invoice.objects.get(customer_id=customer)]
    assert all(row.stripe_data.keys() <= set(copies.SHOWN) for row in old)
    assert shown(customer) == before
    with CaptureQueriesContext(connection) as captured:
        retention.prune_all()
    updates = [query["sql"] for query in captured.captured_queries if query["sql"].startswith("UPDATE")]
    assert len([sql for sql in updates if "jsonb" in sql]) == len(copies.MONEY)

    world.deliver()  # three renewals: Stripe tells of everything again, and the old stays short
    assert {one: value for one, value in shown(customer).items() if one in before} == before
    assert djstripe.models.Charge.objects.get(id=charge).stripe_data.keys() <= set(copies.SHOWN)
    world.shop.v1.refunds.create({"charge": charge})
    world.deliver()
    assert djstripe.models.Charge.objects.get(id=charge).stripe_data["refunded"] is True


def test_an_old_copy_is_found_by_an_index(world: World) -> None:
    for kind in copies.MONEY:
        rows = copies.MODELS[kind].objects.filter(stripe_data__has_key="livemode", created__lt=clock.now())
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
        assert f"{kind}_whole" in rows.values("pk")[:5000].explain()
