"""What a subscriber pays in a month."""

from django.db import migrations, models

class Migration(migrations.Migration):
    dependencies = [("accounts", "0020_payment_rights")]

    operations = [
        migrations.AddField(
            "userprofile",
            "monthly_amount",
            models.BigIntegerField(
                null=True, default=0, db_default=0,
                help_text="What they pay in a month, before discounts and tax; empty: unknown.",
            ),
        ),
        migrations.AddField(
            "userprofile", "monthly_currency", models.CharField(max_length=16, blank=True, default="", db_default="")
        ),
    ]  # fmt: skip
