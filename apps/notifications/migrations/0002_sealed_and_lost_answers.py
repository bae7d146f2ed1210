from django.db import migrations, models


class Migration(migrations.Migration):
    """Encrypted values, the count of lost answers, the state `sending`, and a moment after which a mail is useless."""

    dependencies = [("notifications", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="notification",
            name="sealed",
            field=models.TextField(
                blank=True,
                editable=False,
                help_text="Encrypted values (codes); wiped when sent or given up.",
            ),
        ),
        migrations.AddField(
            model_name="notification",
            name="lost_answers",
            field=models.PositiveSmallIntegerField(
                default=0, help_text="How often it was handed to Mailgun without an answer."
            ),
        ),
        migrations.AddField(
            model_name="notification",
            name="useless_after",
            field=models.DateTimeField(
                blank=True, help_text="Not sent after this moment, as for a code.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="notification",
            name="state",
            field=models.CharField(
                choices=[
                    ("queued", "Waiting"),
                    ("sending", "Being sent"),
                    ("sent", "Sent"),
                    ("failed", "Not sent"),
                    ("uncertain", "Possibly sent"),
                ],
                default="queued",
                max_length=10,
            ),
        ),
    ]
