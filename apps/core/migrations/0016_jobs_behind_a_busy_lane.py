"""Jobs behind a busy lane are set aside, so that no claim reads all of them."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("core", "0015_indexes"),
        ("django_q", "0019_alter_task_options_alter_ormq_key_alter_ormq_lock_and_more"),
    ]

    operations = [
        # Wake-ups were rows of django-q2's queue until now; nothing reads them any more.
        migrations.RunSQL("DELETE FROM django_q_ormq", migrations.RunSQL.noop),
        migrations.RemoveIndex(model_name="job", name="job_due"),
        migrations.AddField(
            model_name="job",
            name="waits_for_lane",
            field=models.BooleanField(db_default=False, help_text="Set aside until a run in its lane ends."),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(condition=models.Q(("state", "queued"), ("waits_for_lane", False)), fields=["importance", "not_before", "id"], name="job_due"),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(condition=models.Q(("state", "queued"), ("waits_for_lane", True)), fields=["lane", "importance", "not_before", "id"], name="job_set_aside"),
        ),
    ]
