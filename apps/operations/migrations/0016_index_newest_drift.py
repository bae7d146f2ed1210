from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("operations", "0015_seat_move_reminder")]

    operations = [
        AddIndexConcurrently(
            model_name="drift",
            index=models.Index(fields=["-id"], condition=Q(resolved_at__isnull=True), name="drift_newest"),
        ),
    ]
