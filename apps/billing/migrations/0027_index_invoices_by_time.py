"""Stripe's invoices by their time, in dj-stripe's table: each hour counts what coupons gave off in two days."""

from typing import ClassVar

from django.db import migrations

CREATED = "CREATE INDEX CONCURRENTLY invoice_created ON djstripe_invoice (created)"


class Migration(migrations.Migration):
    atomic = False
    safe_because: ClassVar[str] = "The index is built beside the table's use, as AddIndexConcurrently does."
    dependencies = [("billing", "0026_coupons"), ("djstripe", "0001_squashed_0003_2_11")]

    operations = [migrations.RunSQL(CREATED, "DROP INDEX invoice_created")]
