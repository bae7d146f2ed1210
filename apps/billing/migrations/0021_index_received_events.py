"""The events of a day: the console lists them by it."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("billing", "0020_index_open_invoices")]

    operations = [
        AddIndexConcurrently(
            model_name="inboundevent",
            index=models.Index(fields=["received_at"], name="event_received"),
        ),
    ]
