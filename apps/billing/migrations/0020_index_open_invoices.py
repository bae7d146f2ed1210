"""Stripe's invoices that are open, in dj-stripe's table: few at any time, counted on the console's first page."""

from typing import ClassVar

from django.db import migrations

OPEN = "CREATE INDEX CONCURRENTLY invoice_open ON djstripe_invoice (djstripe_id) WHERE (stripe_data -> 'status') = '\"open\"'"


class Migration(migrations.Migration):
    atomic = False
    safe_because: ClassVar[str] = "The index is built beside the table's use, as AddIndexConcurrently does."
    dependencies = [("billing", "0019_index_interval"), ("djstripe", "0001_squashed_0003_2_11")]

    operations = [migrations.RunSQL(OPEN, "DROP INDEX invoice_open")]
