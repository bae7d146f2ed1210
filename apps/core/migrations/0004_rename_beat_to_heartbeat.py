"""The signs of life get their plain name."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("core", "0003_password_email_audit_actions"), ("django_q", "0019_alter_task_options_alter_ormq_key_alter_ormq_lock_and_more")]
    operations = [
        migrations.RenameModel("Beat", "Heartbeat"),
        # Queued wake-ups name functions that have moved. They are disposable: the sweep leaves new ones for what is due.
        migrations.RunSQL("DELETE FROM django_q_ormq", migrations.RunSQL.noop),
    ]
