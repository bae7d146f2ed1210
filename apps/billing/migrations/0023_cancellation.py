"""Why subscriptions end, for the reports; of those that are there from their copies."""

from typing import ClassVar

from django.db import migrations, models

FILL = """
UPDATE billing_subscription s SET cancellation_reason = left(coalesce(m.stripe_data #>> '{cancellation_details,reason}', ''), 40),
    cancellation_feedback = left(coalesce(m.stripe_data #>> '{cancellation_details,feedback}', ''), 40)
FROM djstripe_subscription m WHERE m.id = s.stripe_id AND (s.ended_at IS NOT NULL OR s.cancel_at IS NOT NULL)
"""


class Migration(migrations.Migration):
    safe_because: ClassVar[str] = "It writes only columns that are new, of the subscriptions that end, and locks rows, no table."
    dependencies = [("billing", "0022_items_in_order"), ("djstripe", "0001_squashed_0003_2_11")]

    operations = [
        migrations.AddField(
            "subscription",
            "cancellation_reason",
            models.CharField(
                blank=True, db_default="", default="", help_text="Why it ends or ended: Stripe's word, or staff.", max_length=40
            ),
        ),
        migrations.AddField(
            "subscription",
            "cancellation_feedback",
            models.CharField(
                blank=True, db_default="", default="", help_text="What the subscriber said was the reason.", max_length=40
            ),
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
