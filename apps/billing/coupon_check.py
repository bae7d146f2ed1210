"""The nightly look at coupons: what is no longer used, what is still unknown, and which coupons were renamed or deleted at Stripe."""

from django.db import connection

from apps.billing.mirror import mirror_later
from apps.billing.models import Coupon
from apps.billing.parsing import plain, text
from apps.billing.stripe_client import MissingAtStripe, calling_stripe
from apps.core import clock, jobs
from apps.core.models import Job

KIND, DAY = "check_coupons", 86_400
NIGHTLY = 500  # customers whose discounts are still unknown, and coupons looked at again
# Discounts in use whose subscription has ended or names them no more: of a customer who has none left, nobody else notices.
END = """
UPDATE billing_discount d SET ended_at = %(now)s WHERE d.ended_at IS NULL AND (d.ends_at <= %(now)s OR d.subscription_id <> '' AND NOT EXISTS (
    SELECT FROM djstripe_subscription m WHERE m.id = d.subscription_id AND m.stripe_data->'discounts' ? d.stripe_id
        AND m.stripe_data->>'status' NOT IN ('canceled', 'incomplete_expired'))
    OR d.subscription_id = '' AND NOT EXISTS (
    SELECT FROM djstripe_customer m JOIN accounts_userprofile p ON p.stripe_customer_id = m.id
    WHERE p.id = d.profile_id AND m.stripe_data #>> '{discount,id}' = d.stripe_id))
"""
UNKNOWN = """
SELECT DISTINCT p.stripe_customer_id FROM (
    SELECT m.stripe_data->>'customer' AS customer, one #>> '{}' AS id FROM djstripe_subscription m, jsonb_array_elements(
        CASE WHEN jsonb_typeof(m.stripe_data->'discounts') = 'array' THEN m.stripe_data->'discounts' ELSE '[]' END) one
    UNION ALL SELECT m.id, m.stripe_data #>> '{discount,id}' FROM djstripe_customer m WHERE m.stripe_data->'discount' <> 'null'
) named JOIN accounts_userprofile p ON p.stripe_customer_id = named.customer
WHERE named.id <> '' AND NOT EXISTS (SELECT FROM billing_discount d WHERE d.stripe_id = named.id) LIMIT %(most)s
"""


def register() -> None:
    """Make the job kind known."""
    jobs.register(
        KIND, check_coupons, label="Check coupons", needs=("stripe",), every=DAY, importance=Job.Importance.SWEEP
    )


def check_coupons(_key: str = "") -> None:
    """The nightly job: end what is no longer used, ask for what is still unknown, and see which coupons have another name or are gone."""
    with connection.cursor() as cursor:
        cursor.execute(END, {"now": clock.now()})
        cursor.execute(UNKNOWN, {"most": NIGHTLY})
        customers = [customer for (customer,) in cursor.fetchall()]
    for customer in customers:
        mirror_later(customer, reason="has a discount that is not known", importance=Job.Importance.SWEEP)
    for coupon in Coupon.objects.filter(is_deleted=False).order_by("fetched_at")[:NIGHTLY]:
        _refresh(coupon)


def _refresh(row: Coupon) -> None:
    try:
        with calling_stripe() as client:
            found = client.v1.coupons.retrieve(row.stripe_id)
    except MissingAtStripe:
        row.is_deleted = True
    else:
        row.name = text(plain(found).get("name"))
    row.fetched_at = clock.now()
    row.save(update_fields=["name", "is_deleted", "fetched_at"])
