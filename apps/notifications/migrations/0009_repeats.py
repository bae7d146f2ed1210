import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notifications", "0008_delivery")]

    operations = [
        migrations.AddField(
            model_name="notification",
            name="repeats",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                help_text="The email that staff sent again by this one.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="repetitions",
                to="notifications.notification",
            ),
        ),
    ]
