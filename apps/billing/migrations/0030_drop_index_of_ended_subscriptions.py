from django.contrib.postgres.operations import RemoveIndexConcurrently
from django.db import migrations


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("billing", "0029_index_canceled_subscriptions")]

    operations = [
        RemoveIndexConcurrently(model_name="subscription", name="subscription_ended"),
    ]
