"""Which Keycloak account somebody has proven by a login to be theirs, before it is linked."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0040_shared_reasons")]

    operations = [
        migrations.AddField(
            model_name="userprofile",
            name="proven_keycloak_id",
            field=models.CharField(
                max_length=36,
                blank=True,
                default="",
                db_default="",
                help_text="The Keycloak account that they have proven by a login to be theirs; it is linked once access is due.",
            ),
        ),
    ]
