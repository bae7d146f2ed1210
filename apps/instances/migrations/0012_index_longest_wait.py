from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("instances", "0011_check_notice")]

    operations = [
        AddIndexConcurrently(
            model_name="seatwait",
            index=models.Index(fields=["since", "id"], name="seat_wait_longest"),
        ),
    ]
