"""For how many people a product is."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("catalog", "0005_how_to_begin")]

    operations = [
        migrations.AddField(
            model_name="product",
            name="people",
            field=models.PositiveSmallIntegerField(
                db_default=0,
                default=0,
                help_text="For how many people one of it is, the buyer included: each has its apps and numbers. 0: for the buyer alone.",
            ),
        ),
    ]
