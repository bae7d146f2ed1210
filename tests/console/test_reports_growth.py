"""However many payments there are, an hour's count reads those of its two days by an index, and a page none."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.console import dashboard
from apps.operations import report_figures
from apps.operations.models import ReportFigure

pytestmark = pytest.mark.django_db
MANY, DAYS = 100_000, 80
SEED = """
INSERT INTO djstripe_customer (id, email, created, djstripe_created, djstripe_updated, livemode, stripe_data)
    SELECT 'cus_M' || n, '', now(), now(), now(), false, '{}' FROM generate_series(1, %(many)s) n;
INSERT INTO djstripe_charge (id, amount, currency, status, customer_id, created, djstripe_created, djstripe_updated, livemode, stripe_data)
    SELECT 'ch_M' || n, 5, 'eur', 'succeeded', 'cus_M' || n, now() - n %% %(days)s * interval '1 day', now(), now(), false, jsonb_build_object('livemode', false, 'status',
        CASE WHEN n %% 20 = 0 THEN 'failed' ELSE 'succeeded' END, 'amount', 500, 'currency', 'eur', 'payment_intent', 'pi_M' || n)
    FROM generate_series(1, %(many)s) n;
INSERT INTO djstripe_invoice (id, customer_id, created, djstripe_created, djstripe_updated, livemode, stripe_data)
    SELECT 'in_M' || n, 'cus_M' || n, now() - n %% %(days)s * interval '1 day', now(), now(), false, jsonb_build_object('livemode', false, 'status', 'open', 'amount_due', 500,
        'currency', 'eur', 'payments', jsonb_build_object('data', jsonb_build_array(jsonb_build_object('payment', jsonb_build_object(
        'payment_intent', 'pi_M' || n))))) FROM generate_series(1, %(many)s) n;
ANALYZE djstripe_customer, djstripe_charge, djstripe_invoice;
"""


@pytest.mark.nightly
def test_an_hours_count_reads_two_days_by_an_index_and_a_page_reads_no_payment(
    staff: Callable[..., Client],
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(SEED, {"many": MANY, "days": DAYS})
    with CaptureQueriesContext(connection) as captured:
        report_figures.refresh()
    counted = [query["sql"] for query in captured if "djstripe_" in query["sql"]]
    assert len(counted) == len(report_figures.FIGURES)
    for sql in counted:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {sql}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
        assert "Seq Scan on djstripe_charge" not in plan, plan
        assert "Seq Scan on djstripe_invoice" not in plan, plan
    found = ReportFigure.objects.filter(name="paid").values_list("about", "count")
    assert sum(count for _, count in found) == MANY // DAYS  # yesterday's; all of today's failed
    client = staff("viewer")
    dashboard.forget()
    for name in ("revenue", "churn", "recovered", "coupons"):
        with CaptureQueriesContext(connection) as captured:
            assert client.get(reverse(f"admin:report_{name}"), {"period": "12_months"}).status_code == 200
        assert not [query["sql"] for query in captured if "djstripe_charge" in query["sql"]]
