from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("notifications", "0010_template_index")]

    operations = [
        AddIndexConcurrently(
            model_name="notification",
            index=models.Index(fields=["created_at"], name="notification_created"),
        ),
    ]
