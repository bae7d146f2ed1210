"""Hands its tables to the app `operations`; the rows stay."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("access", "0004_sync_runs")]
    operations = [
        migrations.AlterModelTable("drift", "operations_drift"),
        migrations.AlterModelTable("syncresult", "operations_syncresult"),
        migrations.AlterModelTable("syncrun", "operations_syncrun"),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.DeleteModel("drift"),
                migrations.DeleteModel("syncresult"),
                migrations.DeleteModel("syncrun"),
            ]
        ),
    ]
