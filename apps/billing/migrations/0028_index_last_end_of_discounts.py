from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("billing", "0027_index_invoices_by_time")]

    operations = [
        AddIndexConcurrently(
            model_name="discount",
            index=models.Index(fields=["coupon", "ends_at"], condition=Q(ended_at__isnull=True), name="discount_last_end"),
        ),
    ]
