"""A difference of the mark that says whose account it is."""

from django.db import migrations, models

KINDS = [
    ("access", "Wrong entitlements"),
    ("disabled", "Disabled in Keycloak"),
    ("deleted", "Deleted in Keycloak"),
    ("username", "Username changed in Keycloak"),
    ("email", "Email changed in Keycloak"),
    ("mark", "Mark changed in Keycloak"),
]


class Migration(migrations.Migration):
    dependencies = [("operations", "0005_drift_is_excess")]
    operations = [migrations.AlterField("drift", "kind", models.CharField(choices=KINDS, max_length=10))]
