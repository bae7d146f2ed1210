from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("core", "0030_index_stuck_jobs")]

    operations = [
        migrations.AddField(
            "job",
            "request_id",
            models.CharField(
                blank=True, db_default="", default="", help_text="What caused it.", max_length=64
            ),
        ),
    ]
