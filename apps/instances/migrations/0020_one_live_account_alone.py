from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("instances", "0019_one_live_account")]

    safe_because: ClassVar[str] = "The table is new since the release, and 0019 gave it another index before."

    operations = [
        migrations.RemoveConstraint(model_name="productaccount", name="product_account_one_per_instance"),
    ]
