"""The lines of a subscription are read in the order in which they came."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("billing", "0021_index_received_events")]

    operations = [migrations.AlterModelOptions(name="usersubscriptionitem", options={"ordering": ["pk"]})]
