from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("instances", "0019_one_live_account")]

    operations = [
        migrations.RemoveConstraint(model_name="productaccount", name="product_account_one_per_instance"),
    ]
