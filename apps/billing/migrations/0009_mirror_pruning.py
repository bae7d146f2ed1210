"""Rows of dj-stripe that nobody reads, and indexes by which the nightly pruning finds the whole copies."""

from django.db import migrations

INDEX = "CREATE INDEX {name}_whole ON djstripe_{name} (created) WHERE stripe_data ? 'livemode'"


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0008_event_pruning"),
        ("djstripe", "0001_squashed_0003_2_11"),
    ]

    operations = [
        migrations.RunSQL("DELETE FROM djstripe_lineitem", migrations.RunSQL.noop),
        *(
            migrations.RunSQL(INDEX.format(name=name), f"DROP INDEX {name}_whole")
            for name in ("charge", "dispute", "invoice", "refund")
        ),
    ]
