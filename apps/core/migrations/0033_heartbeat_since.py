from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("core", "0032_backups")]

    operations = [
        migrations.AddField("heartbeat", "since", models.DateTimeField(help_text="The first one.", null=True)),
    ]
