"""What an open Checkout session sells, so that a reload finds it again instead of opening another."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]
    operations = [
        migrations.AddField(
            model_name="signup",
            name="checkout_digest",
            field=models.CharField(blank=True, help_text="What the open session sells, to whom.", max_length=64),
        ),
    ]
