"""One instance for each product. Where two have one host already, this fails and names it: end the provisioning of one first."""

from typing import ClassVar

from django.db import migrations, models

MAKE = "CREATE UNIQUE INDEX CONCURRENTLY provisioning_one_per_host ON instances_provisioning (host) WHERE NOT (host = '')"
FORGET = "DROP INDEX provisioning_one_per_host"
RULE = models.UniqueConstraint(
    condition=models.Q(("host", ""), _negated=True), fields=("host",), name="provisioning_one_per_host"
)


class Migration(migrations.Migration):
    atomic = False
    safe_because: ClassVar[str] = "The index is built beside the table's use, as AddIndexConcurrently does."
    dependencies = [("instances", "0015_fill_provisioning_host")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(MAKE, FORGET)],
            state_operations=[migrations.AddConstraint(model_name="provisioning", constraint=RULE)],
        )
    ]
