"""Why the subscriptions ended or end that are there, from their copies."""

from typing import ClassVar

from django.db import migrations

FILL = """
UPDATE billing_subscription s SET cancellation_reason = left(coalesce(m.stripe_data #>> '{cancellation_details,reason}', ''), 40),
    cancellation_feedback = left(coalesce(m.stripe_data #>> '{cancellation_details,feedback}', ''), 40)
FROM djstripe_subscription m WHERE m.id = s.stripe_id AND (s.ended_at IS NOT NULL OR s.cancel_at IS NOT NULL)
"""


class Migration(migrations.Migration):
    safe_because: ClassVar[str] = (
        "It writes only columns that are new, of the subscriptions that end, and locks rows, no table."
    )
    dependencies = [("billing", "0023_cancellation"), ("djstripe", "0001_squashed_0003_2_11")]

    operations = [migrations.RunSQL(FILL, migrations.RunSQL.noop)]
