from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models.functions import Coalesce


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("onboarding", "0005_waitlist_joined")]

    operations = [
        AddIndexConcurrently(
            model_name="waitlistentry",
            index=models.Index(
                Coalesce("product_id", 0),
                "created_at",
                "id",
                condition=models.Q(("confirmed_at__isnull", False), ("state", "waiting")),
                name="waitlist_line",
            ),
        ),
    ]
