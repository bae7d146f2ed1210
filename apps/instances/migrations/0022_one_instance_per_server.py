"""One instance for each server, as far as the servers say who they are."""

from typing import ClassVar

from django.db import migrations, models

MAKE = (
    "CREATE UNIQUE INDEX CONCURRENTLY provisioning_one_per_server ON instances_provisioning (kind, server_id)"
    " WHERE NOT (server_id = '')"
)
FORGET = "DROP INDEX provisioning_one_per_server"
RULE = models.UniqueConstraint(
    condition=models.Q(("server_id", ""), _negated=True), fields=("kind", "server_id"), name="provisioning_one_per_server"
)


class Migration(migrations.Migration):
    atomic = False
    safe_because: ClassVar[str] = "The index is built beside the table's use, as AddIndexConcurrently does."
    dependencies = [("instances", "0021_same_server")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(MAKE, FORGET)],
            state_operations=[migrations.AddConstraint(model_name="provisioning", constraint=RULE)],
        )
    ]
