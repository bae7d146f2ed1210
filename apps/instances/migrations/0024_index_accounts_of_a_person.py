from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("instances", "0023_webhook_deliveries")]

    operations = [
        AddIndexConcurrently(
            model_name="productaccount", index=models.Index(fields=["profile"], name="product_account_profile")
        ),
    ]
