from django.db import migrations, models
from django.db.models import F, Q


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0011_lines_digest"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="subscription",
            index=models.Index(condition=~Q(disputes=[]), fields=["customer_id"], name="subscription_disputed"),
        ),
        migrations.AddIndex(
            model_name="subscription",
            index=models.Index(
                condition=Q(left_of_period__lt=F("paid_for_period")), fields=["customer_id"], name="subscription_returned"
            ),
        ),
    ]
