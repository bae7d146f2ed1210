from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("notifications", "0009_repeats")]

    operations = [
        AddIndexConcurrently(
            model_name="notification",
            index=models.Index(fields=["template", "-id"], name="notification_template"),
        ),
    ]
