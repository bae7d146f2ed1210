"""Rows by the ten thousand for the console's pages, and what one request reads of them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.access.models import AccessOverride, HeldBackLoss
from apps.accounts.models import LegalHold, Membership, PrivacyRequest
from apps.billing.models import Coupon, Discount, InboundEvent
from apps.billing.stripe_objects import MIRRORED
from apps.core import clock
from apps.core.models import AttentionItem, ComparisonRun, Job, LawCheck, Outage
from apps.instances.models import SeatWait
from apps.notifications.models import Notification
from apps.onboarding.models import WaitlistEntry
from apps.operations.models import (
    ApprovalRequest,
    DailyFigure,
    Drift,
    ReportFigure,
    SafeguardReview,
    SeatMove,
    SeatPlan,
    SyncRun,
    TermsPreview,
)
from apps.sandbox.bench.rows import execute, insert
from tests.console.conftest import World

STRIPE = {model.__name__: model for model in MIRRORED}
SEED = """
INSERT INTO auth_user (id, password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined)
SELECT 1000000 + n, '!', false, 'user' || n, 'First' || n % 97, 'Last' || n, '', false, true, now()
    FROM generate_series({start}, {end}) n;
INSERT INTO accounts_userprofile (id, user_id, onboarding_id, email, keycloak_id, stripe_customer_id, stripe_subscription_id,
    subscription_status, access_state, access_reason, forecast, desired_generation, observed_generation, synced_at, access_until,
    final_expiry_at, next_change_at, monthly_amount, monthly_currency, created_at)
SELECT 1000000 + n, 1000000 + n, gen_random_uuid(), 'user' || n || '@example' || n % 97 || '.org', gen_random_uuid(), 'cus_M' || n,
    'sub_M' || n, CASE WHEN n % 5 = 0 THEN 'canceled' ELSE 'active' END,
    (ARRAY['canceled', 'expired', 'active', 'suspended', 'active'])[n % 5 + 1], '{{}}', '[]', 1, 1, now(), now() + n * interval '1 second',
    CASE WHEN n % 5 < 2 THEN now() + n % 1000 * interval '1 day' + n * interval '1 second' END, now() + n * interval '2 minutes', CASE WHEN n % 5 = 0 THEN 0 ELSE n END, 'eur',
    now() - n * interval '1 hour' FROM generate_series({start}, {end}) n;
INSERT INTO billing_subscription (stripe_id, customer_id, status, stripe_created_at, current_period_end, cancel_at, ended_at, fetched_at, is_payment_pending,
    money_returned, disputes, refunds, pause, open_invoice_id, open_invoice_url, attempts_made, next_charge_currency, paid_for_period, left_of_period)
SELECT 'sub_M' || n, 'cus_M' || n, CASE WHEN n % 5 = 0 THEN 'canceled' ELSE 'active' END, now() - n * interval '1 hour' - interval '60 days',
    now() + n * interval '6 minutes', CASE WHEN n % 5 = 1 THEN now() + interval '9 days' END,
    CASE WHEN n % 5 = 0 THEN now() - n * interval '1 hour' END, now(), false, '',
    CASE WHEN n < 20 THEN '[{{"id": "dp", "status": "open"}}]'::jsonb ELSE '[]' END, '{{}}', '', '', '', 0, '', 500, CASE WHEN n < 20 THEN 300 ELSE 500 END
    FROM generate_series({start}, {end}) n;
INSERT INTO billing_usersubscriptionitem (profile_id, subscription_id, stripe_item_id, stripe_price_id, product_id, quantity, currency, interval, interval_count)
SELECT 1000000 + n, s.id, 'si_M' || n, 'price_M', {product}, 1, 'eur', CASE WHEN n % 4 = 0 THEN 'year' ELSE 'month' END, 1
    FROM generate_series({start}, {end}) n JOIN billing_subscription s ON s.stripe_id = 'sub_M' || n;
INSERT INTO instances_seat (profile_id, product_id, instance_id, state, created_at, changed_at, released_at)
SELECT 1000000 + n, {product}, {instance} + n % 3, CASE WHEN n % 4 = 0 THEN 'released' WHEN n % 5 = 0 AND n % 1000 < 30 THEN 'retained' ELSE 'assigned' END, now(), now(),
    CASE WHEN n % 4 = 0 THEN now() END FROM generate_series({start}, {end}) n;
INSERT INTO billing_inboundevent (stripe_event_id, type, customer_id, object_id, livemode, source, api_version, body,
    stripe_created_at, received_at, handled_at, state)
SELECT 'evt_M' || n, 'invoice.paid', 'cus_M' || n, 'in_M' || n, false, CASE WHEN n % 500 = 0 THEN 'backfill' ELSE 'webhook' END, '',
    '{{}}', now(), now(), now(), CASE WHEN n % 4 = 0 THEN 'ignored' ELSE 'handled' END FROM generate_series({start}, {end}) n;
INSERT INTO core_auditentry (at, subject_kind, subject_id, action, actor, reason, before, after, request_id, prev_hash, hash)
SELECT now(), 'profile', 1000000 + n, 'sync_requested', CASE WHEN n < 60 THEN 'staff:rare' ELSE 'system' END, '', '{{}}', '{{}}', '', '', n
    FROM generate_series({start}, {end}) n;
INSERT INTO notifications_notification (key, template, profile_id, "to", context, encrypted, lost_answers, state, provider_id, error,
    created_at, sent_at)
SELECT 'mail:' || n, 'welcome', 1000000 + n, 'user' || n || '@example' || n % 97 || '.org', '{{}}', '', 0, 'sent', '', '', now(), now()
    FROM generate_series({start}, {end}) n;
INSERT INTO accounts_signup (id, state, first_name, last_name, username, email, interval, basket, terms_version, checkout_number,
    checkout_digest, network, created_at)
SELECT gen_random_uuid(), CASE WHEN n % 3 = 0 THEN 'paid' ELSE 'expired' END, 'First' || n % 97, 'Last' || n, 'user' || n,
    'user' || n || '@example' || n % 97 || '.org', CASE WHEN n % 9 = 0 THEN 'year' ELSE 'month' END, '{{}}', '', 1, '', '',
    now() - n * interval '1 second' FROM generate_series({start}, {end}) n;
INSERT INTO core_job (kind, key, lane, state, reason, importance, attempts, runs, not_before, parked_on, created_at, finished_at,
    last_error, history)
SELECT 'reconcile', 1000000 + n, 'profile:' || n, 'done', '', 2, 1, 1, now(), '', now(), now(), '', '[]' FROM generate_series({start}, {end}) n;
"""  # fmt: skip


def seed(start: int, end: int, made: World) -> None:
    """The subscribers from `start` to `end`, and what a busy house has of each kind in proportion to them."""
    seed_people(start, end, made)
    coupon, _ = Coupon.objects.get_or_create(stripe_id="SPRING", defaults={"fetched_at": clock.now()})
    _fill_work(start, end, made, coupon.pk)
    _fill_history(start, end, made, coupon.pk)
    if not start:
        _fill_days()
    execute("ANALYZE")


def seed_people(start: int, end: int, made: World) -> None:
    """The same subscribers with what each has, and nothing that waits for anybody."""
    execute(SEED.format(start=start, end=end, product=made.cloud.pk, instance=made.instances[0].pk))
    for index in ("auth_user_search", "profile_search", "signup_search", "notification_search"):
        execute("SELECT gin_clean_pending_list(%s::regclass)", [index])  # as a vacuum does
    execute("ANALYZE")


def _fill_work(start: int, end: int, made: World, coupon: int) -> None:
    """What waits for somebody, of every twentieth: more than counts go to."""
    profile, ago = "1000000 + n", "now() - n * interval '1 second'"

    def rows(remainder: int, one_in: int = 20) -> str:
        return f"generate_series({start}, {end}) n WHERE mod(n, {one_in}) = {remainder}"

    insert(SeatWait, rows=rows(2), profile_id=profile, product_id=str(made.plan.pk), since=ago)
    insert(
        WaitlistEntry, rows=rows(1), id="gen_random_uuid()", email="'wait' || n || '@example.org'", created_at=ago, confirmed_at=ago,
        product_id=f"CASE WHEN mod(n, 3) > 0 THEN {made.cloud.pk} END",
    )  # fmt: skip
    for state, remainder in (("dead", 3), ("queued", 4)):
        insert(
            Job, rows=rows(remainder), kind="'reconcile'", key="(1000000 + n)::text", lane="'profile:' || n", state=f"'{state}'", not_before=ago,
            created_at=ago, last_error="'Stripe said no ' || n || '.'", finished_at=ago if state == "dead" else "NULL",
        )  # fmt: skip
    insert(
        InboundEvent, rows=rows(5), stripe_event_id="'evt_W' || n", type="'invoice.paid'", customer_id="'cus_M' || n", stripe_created_at=ago,
        received_at=ago, body="'{}'",
    )  # fmt: skip
    insert(
        Notification, rows=rows(6), key="'failed:' || n", template="'welcome'", profile_id=profile, to="'user' || n || '@example.org'", state="'failed'",
        error="'No such mailbox ' || n || '.'", created_at=ago,
    )  # fmt: skip
    insert(
        AttentionItem, rows=rows(7), cause="'dispute'", key="'dp_M' || n", sentence="'A payment is disputed.'", profile_ids="ARRAY[1000000 + n]",
        first_at=ago, last_at=ago,
    )  # fmt: skip
    insert(Drift, rows=rows(8), profile_id=profile, kind="'access'", first_seen_at=ago, last_seen_at=ago)
    insert(HeldBackLoss, rows=rows(9), profile_id=profile, since=ago, state="'suspended'", why="'It is unpaid.'")
    insert(
        PrivacyRequest, rows=rows(10), profile_id=profile, kind="'copy'", received_on="current_date", due_on="current_date + 2", opened_by="'staff:bob'",
        opened_at="now()", note="'by letter'",
    )  # fmt: skip
    insert(
        AccessOverride, rows=rows(11), profile_id=profile, kind="'hold'", reason="'asked for'", created_by="'staff:bob'", created_at=ago, starts_at=ago,
    )  # fmt: skip
    insert(Membership, rows=rows(12), payer_id=profile, email="'member' || n || '@example.org'", invited_at=ago)
    insert(Discount, rows=rows(13), stripe_id="'di_M' || n", coupon_id=str(coupon), profile_id=profile)
    insert(
        STRIPE["Invoice"], rows=rows(14), id="'in_open' || n", customer_id="'customer_0'", created=ago, djstripe_created=ago, djstripe_updated=ago,
        livemode="false", stripe_data="""jsonb_build_object('livemode', false, 'status', 'open', 'amount_due', 500, 'currency', 'eur')""",
    )  # fmt: skip
    insert(LegalHold, rows=rows(15, 300), profile_id=profile, reason="'case'", set_by="'staff:bob'", set_at=ago)
    insert(
        ApprovalRequest, rows=rows(16, 1000), action="'extend_grace'", subject="'profile:' || n", profile_id=profile, requested_by="'staff:bob'",
        reason="'ill'", requested_at=ago, expires_at="now() + interval '1 day'",
    )  # fmt: skip


def _fill_history(start: int, end: int, made: World, coupon: int) -> None:
    """What is over, of every second."""
    profile, ago = "1000000 + n", "now() - n * interval '1 minute'"
    rows = f"generate_series({start}, {end}) n WHERE mod(n, 2) = 0"
    insert(
        AttentionItem, rows=rows, cause="'dispute'", key="'dp_old' || n", sentence="'A payment is disputed.'", first_at=ago, last_at=ago, resolved_at=ago,
    )  # fmt: skip
    insert(Drift, rows=rows, profile_id=profile, kind="'email'", first_seen_at=ago, last_seen_at=ago, resolved_at=ago)
    insert(
        LawCheck, rows=rows, law="'L' || (1 + mod(n, 80) / 2)", state="CASE WHEN mod(n, 7) = 0 THEN 'violated' ELSE 'ok' END", first_at=ago,
        checked_at=ago, looked_at="9", total="0", seconds="0.1",
    )  # fmt: skip
    insert(
        Outage, rows=rows, peer="(ARRAY['stripe', 'keycloak', 'mailgun'])[1 + mod(n, 3)]", began_at=f"{ago} - interval '1 minute'", ended_at=ago,
        reason="'No answer.'",
    )  # fmt: skip
    insert(
        ComparisonRun,
        rows=rows,
        kind="'compare_keycloak'",
        state="'done'",
        actor="'system'",
        started_at=ago,
        progressed_at=ago,
        ended_at=ago,
    )
    insert(SafeguardReview, rows=rows, sweep="'reconcile_all'", state="'obsolete'", opened_at=ago, seen_at=ago)
    insert(
        PrivacyRequest, rows=rows, profile_id=profile, kind="'erasure'", state="'done'", received_on="current_date - 60", due_on="current_date - 30",
        opened_by="'staff:bob'", opened_at=ago, note="'by letter'", closed_by="'staff:bob'", closed_at=ago,
    )  # fmt: skip
    insert(
        LegalHold, rows=rows, profile_id=profile, reason="'old case'", set_by="'staff:bob'", set_at=ago, ended_by="'staff:bob'", ended_at="now()",
        end_reason="'closed'",
    )  # fmt: skip
    insert(
        Membership, rows=rows.replace("= 0", "= 1"), payer_id=profile, member_id=f"{profile} - 1", email="'former' || n || '@example.org'", invited_at=ago, accepted_at=ago,
        ended_at="now()", end="'left'", paid_until="now()",
    )  # fmt: skip
    insert(
        ApprovalRequest, rows=rows, action="'extend_grace'", subject="'old:' || n", profile_id=profile, requested_by="'staff:bob'", reason="'ill'",
        requested_at=ago, expires_at=ago, state="'approved'", decided_by="'staff:eve'", decided_at=ago, decision_reason="'yes'",
    )  # fmt: skip
    insert(
        WaitlistEntry, rows=rows, id="gen_random_uuid()", email="'left' || n || '@example.org'", product_id=str(made.cloud.pk), created_at=ago,
        state="'left'",
    )  # fmt: skip
    insert(Discount, rows=rows, stripe_id="'di_old' || n", coupon_id=str(coupon), profile_id=profile, ended_at=ago)
    insert(SyncRun, rows=rows, scope="'selected'", total="2", actor="'staff:bob'", reason="'asked'", created_at=ago)
    insert(
        TermsPreview, rows=rows, reason="'asked'", requested_by="'staff:bob'", requested_at=ago, state="'abandoned'", decided_by="'staff:bob'",
        decided_at=ago,
    )  # fmt: skip
    _fill_seat_plans(start, end, made)


def _fill_seat_plans(start: int, end: int, made: World) -> None:
    """One that has ended for each 100 people, and a move of each of them."""
    product, ago = made.cloud.pk, "now() - interval '1 day'"
    insert(
        SeatPlan, rows=f"generate_series({start}, {end}) n WHERE mod(n, 100) = 0", id="1000000 + n", kind="'rebalance'", product_id=str(product),
        state="'ended'", actor="'staff:bob'", reason="'full'", created_at=ago, ended_at=ago,
    )  # fmt: skip
    insert(
        SeatMove, rows=f"instances_seat seat JOIN generate_series({start}, {end}) n ON seat.profile_id = 1000000 + n", plan_id="1000000 + n - mod(n, 100)",
        seat_id="seat.id", profile_id="profile_id", source_id=str(made.instances[0].pk), target_id=str(made.instances[1].pk), state="'asked'",
        why="'Less full.'", asked_at=ago,
    )  # fmt: skip


def _fill_days() -> None:
    """Two years of figures, as they are kept."""
    insert(
        DailyFigure, rows="generate_series(1, 90) d, unnest(ARRAY['seats', 'instance', 'subscribers']) name", day="current_date - d", name="name",
        about="CASE name WHEN 'seats' THEN 'cloud' WHEN 'instance' THEN 'cloud-0' ELSE '' END", value="d",
    )  # fmt: skip
    insert(
        ReportFigure, rows="generate_series(1, 730) d, unnest(ARRAY['paid', 'refunded', 'late', 'discount']) name", day="current_date - d", name="name",
        about="''", currency="'eur'", count="3", amount="500",
    )  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _no_dead_rows(django_db_setup: None, django_db_blocker: Any) -> None:
    """What earlier tests rolled back stays in the files until a vacuum, and a scan reads it too."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("VACUUM FULL")


@dataclass(frozen=True)
class Reading:
    """What one request asked for: its statements, the database's pages that they touched, and the rows that they went through."""

    queries: int
    blocks: int
    rows: int
    is_whole: bool = False  # nothing was kept from before


def read_page(client: Client, address: str) -> Reading:
    """Ask for a page, and each of its statements again: what does it read?"""
    with CaptureQueriesContext(connection) as captured:
        answer = client.get(address)
    assert answer.status_code == 200, address
    statements = [query["sql"] for query in captured if query["sql"].lstrip().startswith(("SELECT", "WITH"))]
    plans = [_explain(sql) for sql in statements]
    blocks = sum(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] for plan in plans)
    return Reading(len(statements), blocks, sum(rows for plan in plans for rows in _scan(plan)))


def _explain(sql: str) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}")
        found = cursor.fetchone()[0]
    plan: dict[str, Any] = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    return plan


def _scan(plan: dict[str, Any]) -> Iterator[int]:
    """The rows that each scan of a table or an index has gone through, also those that it threw away."""
    if "Relation Name" in plan or "Index Name" in plan:
        names = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
        yield int(sum(plan.get(name, 0) for name in names) * plan["Actual Loops"])
    for one in plan.get("Plans", ()):
        yield from _scan(one)
