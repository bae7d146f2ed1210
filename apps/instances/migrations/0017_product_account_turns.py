from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("instances", "0016_one_instance_per_host")]

    operations = [
        migrations.AddField(
            model_name="productaccount",
            name="tried_at",
            field=models.DateTimeField(help_text="When its deletion was last looked into.", null=True),
        ),
    ]
