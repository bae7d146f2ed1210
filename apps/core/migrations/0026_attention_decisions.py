"""What staff decided about an attention item: who deals with it, until when it is snoozed, since when it is ignored, and why."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("core", "0025_laws")]
    operations = [
        migrations.AddField(
            "attentionitem",
            "assignee",
            models.CharField(
                max_length=150, blank=True, default="", db_default="", help_text="Who of staff deals with it."
            ),
        ),
        migrations.AddField(
            "attentionitem",
            "snoozed_until",
            models.DateTimeField(null=True, blank=True, help_text="It needs nobody before this moment."),
        ),
        migrations.AddField(
            "attentionitem",
            "ignored_at",
            models.DateTimeField(null=True, blank=True, help_text="Since when it needs nobody, until it ends."),
        ),
        migrations.AddField(
            "attentionitem",
            "decision",
            models.CharField(
                max_length=500, blank=True, default="", db_default="", help_text="Who snoozed or ignored it and why."
            ),
        ),
    ]
