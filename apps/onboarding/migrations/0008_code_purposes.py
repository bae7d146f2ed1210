"""The proof of a mailbox has two more purposes; only what Django knows changes, not the table."""

from typing import Any, ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar[list[Any]] = [("onboarding", "0007_language")]

    operations: ClassVar[list[Any]] = [
        migrations.AlterField(
            model_name="onetimecode",
            name="purpose",
            field=models.CharField(
                choices=[
                    ("signup", "Signup"),
                    ("recovery", "Recovery"),
                    ("address", "Change of address"),
                    ("contract", "Cancellation or withdrawal"),
                ],
                max_length=10,
            ),
        ),
    ]
