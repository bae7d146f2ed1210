"""Lines by how often they are charged."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("billing", "0018_index_period")]

    operations = [AddIndexConcurrently("usersubscriptionitem", models.Index(fields=["interval", "profile"], name="item_interval"))]
