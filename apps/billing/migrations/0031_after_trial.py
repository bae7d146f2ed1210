"""Whether a trial ends for want of a card. It is filled when the subscription is fetched next, by the event three days before at the latest."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0030_drop_index_of_ended_subscriptions")]

    operations = [
        migrations.AddField(
            "subscription",
            "after_trial",
            models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="What Stripe does at the trial's end while there is no card: cancel or pause; empty: it charges.",
                max_length=20,
            ),
        ),
    ]
