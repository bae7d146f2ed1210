"""Whether a difference means that Keycloak gives more than is due."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("operations", "0004_names_for_staff")]
    operations = [
        migrations.AddField(
            "drift", "is_excess", models.BooleanField(default=False, help_text="Keycloak gives more than is due.")
        )
    ]
