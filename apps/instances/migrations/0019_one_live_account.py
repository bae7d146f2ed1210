"""Beside its account on an instance a person may have some that are to be deleted: of a Keycloak account that they no longer have."""

from typing import ClassVar

from django.db import migrations, models

NAME = "product_account_one_live_per_instance"
MAKE = (
    f"CREATE UNIQUE INDEX CONCURRENTLY {NAME} ON instances_productaccount (profile_id, instance_id)"
    " WHERE NOT (state IN ('leaving', 'deleted'))"
)
RULE = models.UniqueConstraint(
    condition=models.Q(("state__in", ["leaving", "deleted"]), _negated=True), fields=("profile", "instance"), name=NAME
)


class Migration(migrations.Migration):
    atomic = False
    safe_because: ClassVar[str] = "The index is built beside the table's use, as AddIndexConcurrently does."
    dependencies = [("instances", "0018_keep_who_has_an_account")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(MAKE, f"DROP INDEX {NAME}")],
            state_operations=[migrations.AddConstraint(model_name="productaccount", constraint=RULE)],
        )
    ]
