from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("billing", "0028_index_last_end_of_discounts")]

    operations = [
        AddIndexConcurrently(
            model_name="subscription",
            index=models.Index(fields=["ended_at"], condition=Q(ended_at__isnull=False, status="canceled"), name="subscription_canceled"),
        ),
    ]
