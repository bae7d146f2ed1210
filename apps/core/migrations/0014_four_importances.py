"""What a person clicked comes between who has paid and waits, and the other changes: these and sweeps move up by one."""

from django.db import migrations, models

OPEN = "state IN ('queued', 'running', 'blocked', 'dead')"


class Migration(migrations.Migration):

    dependencies = [
        ("core", "0013_live_jobs"),
    ]

    operations = [
        migrations.AlterField(
            model_name="job",
            name="importance",
            field=models.PositiveSmallIntegerField(choices=[(0, "A person waits for it"), (1, "A person asked for it"), (2, "A change"), (3, "A sweep")], db_default=2),
        ),
        migrations.RunSQL(
            f"UPDATE core_job SET importance = importance + 1 WHERE importance > 0 AND {OPEN}",
            f"UPDATE core_job SET importance = importance - 1 WHERE importance > 1 AND {OPEN}",
        ),
    ]
