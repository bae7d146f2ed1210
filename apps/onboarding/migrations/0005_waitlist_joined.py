from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("onboarding", "0004_search")]

    operations = [
        AddIndexConcurrently(
            model_name="waitlistentry", index=models.Index(fields=["created_at", "id"], name="waitlist_joined")
        ),
    ]
