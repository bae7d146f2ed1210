"""When Keycloak and Stripe were told the language."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("accounts", "0043_one_per_proven_account")]

    operations = [
        migrations.AddField(
            model_name="userprofile",
            name="language_told_at",
            field=models.DateTimeField(
                blank=True, help_text="When Keycloak and Stripe were last told the language; empty: never.", null=True
            ),
        ),
    ]
