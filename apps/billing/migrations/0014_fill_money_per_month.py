"""The amounts of the subscriptions that are there, from their lines, and the sums of their subscribers."""

from typing import ClassVar

from django.db import migrations

FILL = """
UPDATE billing_subscription s SET monthly_amount = l.amount, currency = l.currency FROM (
    SELECT subscription_id, min(currency) AS currency,
        CASE WHEN count(unit_amount) = count(*) AND count(DISTINCT currency) = 1 AND sum(unit_amount::numeric * quantity) <= 1e15 THEN
        round(sum(unit_amount::numeric * quantity * CASE interval WHEN 'day' THEN 365 / 12.0 WHEN 'week' THEN 365 / 84.0 WHEN 'month' THEN 1
            WHEN 'year' THEN 1 / 12.0 ELSE 0 END / greatest(interval_count, 1)))::bigint END AS amount
    FROM billing_usersubscriptionitem GROUP BY 1) l
WHERE l.subscription_id = s.id
"""
SUM_UP = """
UPDATE accounts_userprofile p SET monthly_amount = s.amount, monthly_currency = s.currency FROM (
    SELECT customer_id, min(currency) AS currency,
        CASE WHEN count(monthly_amount) = count(*) AND count(DISTINCT currency) = 1 THEN sum(monthly_amount)::bigint END AS amount
    FROM billing_subscription WHERE status IN ('active', 'past_due') GROUP BY 1) s
WHERE s.customer_id = p.stripe_customer_id
"""


class Migration(migrations.Migration):
    # Two columns are filled that the previous release neither reads nor writes; what changes meanwhile is right at the next fetch.
    safe_because: ClassVar[str] = "It writes only columns that are new, and locks rows, no table."
    dependencies = [("billing", "0013_money_per_month"), ("accounts", "0021_money_per_month")]

    operations = [
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.RunSQL(SUM_UP, migrations.RunSQL.noop),
    ]
