"""Search by any part of an address."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("onboarding", "0003_labels"), ("accounts", "0014_search")]

    operations = [
        migrations.RunSQL(
            'CREATE INDEX waitlist_search ON onboarding_waitlistentry USING gin (upper("email") gin_trgm_ops)',
            "DROP INDEX waitlist_search",
        ),
    ]
