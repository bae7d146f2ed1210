"""Why subscriptions end, for the reports."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0022_items_in_order")]

    operations = [
        migrations.AddField(
            "subscription",
            "cancellation_reason",
            models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Why it ends or ended: Stripe's word, or staff.",
                max_length=40,
            ),
        ),
        migrations.AddField(
            "subscription",
            "cancellation_feedback",
            models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="What the subscriber said was the reason.",
                max_length=40,
            ),
        ),
    ]
