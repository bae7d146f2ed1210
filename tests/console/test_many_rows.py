"""No list, filter, sort, search or deep page reads more of the database because the tables are larger."""

import json
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import User
from django.core.management.base import CommandError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import Signup, UserProfile
from apps.console import base, dashboard
from apps.core import clock
from apps.notifications.models import Notification
from tests.console.conftest import World, fill

pytestmark = pytest.mark.django_db

Staff = Callable[..., Client]
COUNTED, FEW, MANY = 1_000, 6_000, 30_000  # each tab holds more than are counted
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
    CASE WHEN n % 5 < 2 THEN now() + n * interval '1 minute' END, now() + n * interval '2 minutes', CASE WHEN n % 5 = 0 THEN 0 ELSE n END, 'eur',
    now() - n * interval '1 hour' FROM generate_series({start}, {end}) n;
INSERT INTO billing_subscription (stripe_id, customer_id, status, stripe_created_at, current_period_end, cancel_at, ended_at, fetched_at, is_payment_pending,
    money_returned, disputes, refunds, pause, open_invoice_id, open_invoice_url, attempts_made, next_charge_currency, paid_for_period, left_of_period)
SELECT 'sub_M' || n, 'cus_M' || n, CASE WHEN n % 5 = 0 THEN 'canceled' ELSE 'active' END, now() - n * interval '1 hour' - interval '60 days',
    now() + n * interval '2 minutes', CASE WHEN n % 5 = 1 THEN now() + interval '9 days' END,
    CASE WHEN n % 5 = 0 THEN now() - n * interval '1 minute' END, now(), false, '',
    CASE WHEN n < 20 THEN '[{{"id": "dp", "status": "open"}}]'::jsonb ELSE '[]' END, '{{}}', '', '', '', 0, '', 500, CASE WHEN n < 20 THEN 300 ELSE 500 END
    FROM generate_series({start}, {end}) n;
INSERT INTO billing_usersubscriptionitem (profile_id, subscription_id, stripe_item_id, stripe_price_id, product_id, quantity, currency, interval, interval_count)
SELECT 1000000 + n, s.id, 'si_M' || n, 'price_M', {product}, 1, 'eur', CASE WHEN n % 4 = 0 THEN 'year' ELSE 'month' END, 1
    FROM generate_series({start}, {end}) n JOIN billing_subscription s ON s.stripe_id = 'sub_M' || n;
INSERT INTO instances_seat (profile_id, product_id, instance_id, state, created_at, changed_at, released_at)
SELECT 1000000 + n, {product}, {instance} + n % 3, CASE WHEN n % 4 = 0 THEN 'released' ELSE 'assigned' END, now(), now(),
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
PAGES = {
    "accounts_userprofile": (
        "", "p=20", "o=1", "o=-1", "o=3", "o=-3", "o=6", "o=-6", "o=7", "o=-7", "access_state__exact=canceled", "access_state__exact=expired",
        "access_state__exact=suspended", "view=disputed", "view=dispute_lost", "view=returned", "subscription_status__exact=canceled", "q=user333", "q=Last3337", "q=ast3337",
        "q=ser3337@example", "q=3333@example35", "q=user3333@example35.org", "q=First5 Last5049", "q=nobody-at-all", "q=cus_M77", "q=sub_M77",
        "view=ending", "view=no_seat", "view=stuck", "view=override", "view=drift", "view=bounced", "view=paying", "view=new", "view=renewing",
        "view=lost", "view=waiting", "view=syncing", "view=trials_ending", "product={product}", "instance={instance}", "interval=year", "interval=month",
        "next=7", "joined=7", "left={today}..{today}",
    ),
    "instances_seat": (
        "", "p=20", "o=0", "o=4", "o=-4", "state__exact=assigned", "state__exact=released", "q=Last3337", "instance__id__exact={instance}",
        "product__id__exact={product}",
    ),
    "billing_inboundevent": (
        "", "p=20", "o=1", "o=-1", "source__exact=backfill", "source__exact=webhook", "q=in_M3337", "q=cus_M3337", "q=evt_M3337", "state__exact=ignored",
        "q=invoice.", "view=failed", "event=invoice.paid", "day={today}",
    ),
    "core_auditentry": ("", "p=20", "view=staff", "day={today}", "q=staff:rare", "q=staff:nobody", "q=Last3337", "q=profile:1003337"),
    "notifications_notification": ("", "p=20", "q=user3337@example", "q=ser3337", "q=Last3337", "state__exact=failed"),
    "accounts_signup": (
        "", "p=20", "interval__exact=year", "q=user3333@example35.org", "q=er3337@", "q=ast3337", "state__exact=paid",
        "state__exact=failed", "o=5", "o=-5",
    ),
    "core_job": ("", "is=work", "is=work&p=20", "is=all", "is=all&o=1", "is=all&o=-1", "is=work&o=3", "is=all&o=-3", "q=1003337", "state__exact=dead"),
    "auth_user": ("", "q=ada", "q=nobody"),
}  # fmt: skip


def seed(start: int, end: int, made: World) -> None:
    with connection.cursor() as cursor:
        cursor.execute(SEED.format(start=start, end=end, product=made.cloud.pk, instance=made.instances[0].pk))
        for index in ("auth_user_search", "profile_search", "signup_search", "notification_search"):
            cursor.execute("SELECT gin_clean_pending_list(%s::regclass)", [index])  # as a vacuum does
        cursor.execute("ANALYZE")


def addresses(made: World) -> Iterator[str]:
    for page, queries in PAGES.items():
        for query in queries:
            filled = query.format(product=made.cloud.pk, instance=made.instances[0].pk, today=f"{clock.now():%Y-%m-%d}")
            yield f"{reverse(f'admin:{page}_changelist')}?{filled}"
    timeline = reverse("admin:accounts_userprofile_timeline", args=[1_003_337])
    yield from (
        timeline,
        f"{timeline}?kind=staff",
        f"{timeline}?id=evt_M3337",
        f"{timeline}?from=2026-01-01&to=2099-01-01",
    )


def pages_read(client: Client, address: str) -> int:
    """How many pages of the database the statements of one request touch."""
    dashboard.NUMBERS.get()
    with CaptureQueriesContext(connection) as captured:
        answer = client.get(address)
    assert answer.status_code == 200, address
    total = 0
    with connection.cursor() as cursor:
        for query in captured:
            if query["sql"].startswith("SELECT"):
                cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query['sql']}")
                found = cursor.fetchone()[0]
                plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
                total += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    return total


@pytest.mark.long
def test_five_times_the_rows_are_read_with_the_same_pages(staff: Staff, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "COUNT_LIMIT", COUNTED)
    client, made = staff("admin"), fill(3)
    seed(0, FEW, made)
    client.get(reverse("admin:index"))
    few = {one: pages_read(client, one) for one in addresses(made)}
    seed(FEW + 1, MANY, made)
    many = {one: pages_read(client, one) for one in addresses(made)}
    grown = {one: (few[one], many[one]) for one in few if many[one] > 1.2 * few[one] + 300}
    with connection.cursor() as cursor:
        cursor.execute(
            "ANALYZE"
        )  # its sample is random, and a plan may hang on it: what grows, does so by another one too
    assert not {one: both for one, both in grown.items() if pages_read(client, one) > 1.2 * both[0] + 300}


@pytest.mark.parametrize(
    ("page", "term", "found"),
    [
        ("accounts_userprofile", "Wanda", 2), ("accounts_userprofile", "ANDA", 2), ("accounts_userprofile", "kowal", 1),
        ("accounts_userprofile", "Wanda Kowalska", 1), ("accounts_userprofile", "kowalska wanda", 1), ("accounts_userprofile", "posteo.de", 1),
        ("accounts_userprofile", "a@poste", 1), ("accounts_userprofile", "wanda@posteo.de", 1), ("accounts_userprofile", "po", 0),
        ("accounts_userprofile", "wk", 1), ("accounts_userprofile", "o%l", 0), ("accounts_userprofile", "_anda", 0), ("accounts_userprofile", "Zoë Ö", 1),
        ("notifications_notification", "posteo", 1), ("notifications_notification", "Kowalska", 1), ("notifications_notification", "x@gone", 1),
        ("accounts_signup", "posteo", 1), ("accounts_signup", "owalsk", 1), ("accounts_signup", "wanda@posteo.de", 1), ("accounts_signup", "a@posteo", 1),
        ("auth_user", "min-ad", 1),
    ],
)  # fmt: skip
def test_any_part_of_a_name_or_address_finds(page: str, term: str, found: int, staff: Staff) -> None:
    client = staff("admin")
    wanda = _person("wk-1", "Wanda", "Kowalska", "wanda@posteo.de")
    _person("other", "Wanda", "Smith", "other@example.org")
    _person("zoe", "Zoë", "Öz", "zoe@example.org")
    now = clock.now()
    for count, to in enumerate(("wanda@posteo.de", "xx@gone.example")):
        person = None if count else wanda
        Notification.objects.create(key=f"mail:{count}", template="welcome", profile=person, to=to, created_at=now)
    Signup.objects.create(
        username="wk-1", first_name="Wanda", last_name="Kowalska", email="wanda@posteo.de", created_at=now
    )
    answer = client.get(reverse(f"admin:{page}_changelist"), {"q": term})
    assert answer.context["cl"].result_count == found


def _person(username: str, first: str, last: str, email: str) -> UserProfile:
    user = User.objects.create(username=username, first_name=first, last_name=last, email=email)
    return UserProfile.objects.create(user=user, email=email, created_at=clock.now())


def test_only_columns_with_an_index_sort_also_when_the_address_is_typed(staff: Staff) -> None:
    client = staff("admin")
    fill(3)
    address = reverse("admin:accounts_userprofile_changelist")
    assert {"who", "state", "next_change", "money"} <= set(client.get(address).context["cl"].sortable_by)
    leaving = client.get(address, tab := {"access_state__exact": "canceled"}).context["cl"]
    assert "synced" not in leaving.sortable_by
    asked = client.get(address, tab | {"o": list(leaving.list_display).index("synced")}).context["cl"].queryset
    assert "synced_at" not in str(asked.query).partition("ORDER BY")[2]


def test_a_role_that_may_not_make_the_extension_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    migration = import_module("apps.accounts.migrations.0014_search")
    with connection.cursor() as cursor:
        cursor.execute("DROP EXTENSION pg_trgm CASCADE; CREATE ROLE stranger; SET ROLE stranger")
    with pytest.raises(CommandError, match="CREATE EXTENSION pg_trgm"), connection.schema_editor() as editor:
        migration.Trigrams().database_forwards("accounts", editor, None, None)


def test_the_end_of_a_keycloak_session_is_found_by_an_index() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    assert "usersession_sid" in UserSession.objects.filter(data__sid="some").explain()


def test_the_numbers_read_no_seat_and_count_people_once_a_minute(staff: Staff) -> None:
    fill(3)
    dashboard.forget()
    with CaptureQueriesContext(connection) as first:
        dashboard.read()
    with CaptureQueriesContext(connection) as second:
        dashboard.read()
    asked = [query["sql"] for query in first]
    assert not [one for one in asked if '"instances_seat"' in one]
    assert len(first) - len(second) == 2  # and the counts, which the menu reads on every page


def test_nobody_waits_for_the_numbers_while_another_reads_them(staff: Staff, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(3)
    last = dashboard.NUMBERS.get()
    monkeypatch.setattr(dashboard.NUMBERS, "seconds", -1.0)
    with dashboard.NUMBERS.lock:
        assert dashboard.NUMBERS.get() is last
    assert dashboard.NUMBERS.get() is not last


def test_a_scrape_does_not_count_everybody_each_time(staff: Staff, settings: Any) -> None:
    fill(3)
    settings.PROMETHEUS_METRICS_API_KEY = "key"
    for times in (1, 0):
        with CaptureQueriesContext(connection) as asked:
            answer = Client().get("/metrics", headers={"Authorization": "Bearer key"})
        assert 'frontdesk_subscribers{state="active"} ' in answer.text
        assert sum("GROUP BY 1" in one["sql"] and "accounts_userprofile" in one["sql"] for one in asked) == times
