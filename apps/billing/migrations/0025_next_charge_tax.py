"""How much of the next charge is tax."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0024_fill_cancellation")]

    operations = [
        migrations.AddField(
            "subscription",
            "next_charge_tax",
            models.BigIntegerField(help_text="How much of it is tax; empty when none is in it.", null=True),
        )
    ]
