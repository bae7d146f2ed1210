from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("instances", "0020_one_live_account_alone")]

    operations = [
        migrations.AddField(
            model_name="provisioning",
            name="server_id",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                editable=False,
                help_text="What tells the server from all others, whatever it is called; empty: nothing does, or not read yet.",
                max_length=100,
            ),
        ),
    ]
