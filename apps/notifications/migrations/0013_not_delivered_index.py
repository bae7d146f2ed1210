from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("notifications", "0012_repetitions_index")]

    operations = [
        AddIndexConcurrently(
            model_name="notification",
            index=models.Index(
                condition=models.Q(("delivery__in", ["delayed", "bounced", "failed", "complained"])),
                fields=["delivery", "-id"],
                name="notification_not_delivered",
            ),
        ),
    ]
