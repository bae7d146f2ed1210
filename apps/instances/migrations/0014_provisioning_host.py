from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("instances", "0013_products_obey")]

    operations = [
        migrations.AddField(
            model_name="provisioning",
            name="host",
            field=models.CharField(
                db_default="",
                default="",
                editable=False,
                help_text="The address in the one form that tells two products apart.",
                max_length=200,
            ),
        ),
    ]
