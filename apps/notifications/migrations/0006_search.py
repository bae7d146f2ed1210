"""Search by any part of an address."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("notifications", "0005_indexes"), ("accounts", "0014_search")]

    operations = [
        migrations.RunSQL(
            'CREATE INDEX notification_search ON notifications_notification USING gin (upper("to") gin_trgm_ops)',
            "DROP INDEX notification_search",
        ),
        migrations.RunSQL(
            'CREATE INDEX notification_upper ON notifications_notification (upper("to"))', "DROP INDEX notification_upper"
        ),
    ]
