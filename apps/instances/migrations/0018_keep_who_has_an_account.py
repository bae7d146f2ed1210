import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("instances", "0017_product_account_turns")]

    operations = [
        migrations.AlterField(
            model_name="productaccount",
            name="profile",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.userprofile"
            ),
        ),
    ]
