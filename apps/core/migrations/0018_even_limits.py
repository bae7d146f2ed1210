"""What was spent comes back evenly instead of at the end of a window. Counters of at most a day begin again."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("core", "0017_prune_sweep_jobs")]

    operations: ClassVar = [
        migrations.RunSQL("DELETE FROM core_ratelimit", migrations.RunSQL.noop),
        migrations.RemoveConstraint(model_name="ratelimit", name="rate_limit_one_row_per_window"),
        migrations.RemoveIndex(model_name="ratelimit", name="rate_limit_window"),
        migrations.RemoveField(model_name="ratelimit", name="window"),
        migrations.RemoveField(model_name="ratelimit", name="used"),
        migrations.AddField(
            model_name="ratelimit",
            name="per",
            field=models.PositiveIntegerField(default=0, help_text="Seconds in which all that was spent comes back."),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="ratelimit",
            name="busy_until",
            field=models.FloatField(
                default=0, help_text="Unix seconds at which all is back: each use adds its share."
            ),
            preserve_default=False,
        ),
        migrations.AddConstraint(
            model_name="ratelimit",
            constraint=models.UniqueConstraint(fields=("name", "subject", "per"), name="rate_limit_one_row"),
        ),
        migrations.AddIndex(
            model_name="ratelimit", index=models.Index(fields=["busy_until"], name="rate_limit_busy_until")
        ),
    ]
