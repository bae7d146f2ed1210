from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("notifications", "0014_language")]

    operations = [
        AddIndexConcurrently(
            model_name="notification",
            index=models.Index(fields=["-id"], condition=Q(state__in=["failed", "uncertain"]), name="notification_undelivered"),
        ),
    ]
