"""An account that is there becomes one subscriber's."""

from typing import ClassVar

from django.db import migrations, models

NAME = "profile_one_per_proven_account"
MAKE = (
    f"CREATE UNIQUE INDEX CONCURRENTLY {NAME} ON accounts_userprofile (proven_keycloak_id)"
    " WHERE NOT (proven_keycloak_id = '')"
)
RULE = models.UniqueConstraint(
    condition=models.Q(("proven_keycloak_id", ""), _negated=True), fields=("proven_keycloak_id",), name=NAME
)


class Migration(migrations.Migration):
    atomic = False
    safe_because: ClassVar[str] = "The index is built beside the table's use, as AddIndexConcurrently does."
    dependencies = [("accounts", "0042_signup_with_account")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(MAKE, f"DROP INDEX {NAME}")],
            state_operations=[migrations.AddConstraint(model_name="userprofile", constraint=RULE)],
        )
    ]
