"""A sign-up with a Keycloak account that is there, under the username it has."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0041_proven_account")]

    operations = [
        migrations.AddField(
            model_name="signup",
            name="keycloak_id",
            field=models.CharField(
                max_length=36,
                blank=True,
                default="",
                db_default="",
                help_text="The Keycloak account with which they sign up, proven by a login when the address was.",
            ),
        ),
        migrations.AlterField(
            model_name="signup", name="username", field=models.CharField(max_length=150, blank=True)
        ),
    ]
