"""What a subscription costs in a month."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0012_money_flags")]

    operations = [
        migrations.AddField(
            "subscription",
            "monthly_amount",
            models.BigIntegerField(
                null=True, help_text="What its lines cost in a month, before discounts and tax; empty when that depends on use."
            ),
        ),
        migrations.AddField(
            "subscription", "currency", models.CharField(max_length=16, blank=True, default="", db_default="")
        ),
    ]
