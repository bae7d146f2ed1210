"""Plain words: the safeguard instead of mass losses, and kinds of drift named for what differs. All rows stay."""

from django.db import migrations, models
from django.db.models import Q


def update(table, column, *pairs):
    """Rename values of a column, both ways."""
    statement = f"UPDATE {table} SET {column} = %s WHERE {column} = %s"
    return migrations.RunSQL(
        [(statement, [new, old]) for old, new in pairs], [(statement, [old, new]) for old, new in pairs]
    )


class Migration(migrations.Migration):
    dependencies = [("operations", "0001_initial"), ("core", "0004_rename_beat_to_heartbeat")]
    operations = [
        migrations.RemoveConstraint("massloss", "mass_loss_one_open_per_sweep"),
        migrations.RemoveConstraint("massloss", "mass_loss_confirmed_by_somebody"),
        migrations.RemoveIndex("massloss", "mass_loss_sweep"),
        migrations.RenameModel("MassLoss", "SafeguardReview"),
        migrations.RenameField("safeguardreview", "who", "profile_ids"),
        migrations.RenameField("safeguardreview", "subscribers", "with_access"),
        migrations.RenameField("safeguardreview", "asked_at", "opened_at"),
        migrations.RenameField("safeguardreview", "done_at", "used_at"),
        update(
            "operations_safeguardreview",
            "state",
            ("gathering", "collecting"),
            ("asking", "pending"),
            ("gone", "obsolete"),
        ),
        update("operations_safeguardreview", "sweep", ("look_at_everybody", "reconcile_all")),
        migrations.AddConstraint(
            "safeguardreview",
            models.UniqueConstraint(
                fields=["sweep", "scope", "state"],
                condition=Q(state__in=["collecting", "pending"]),
                name="safeguard_one_open_per_sweep",
            ),
        ),
        migrations.AddConstraint(
            "safeguardreview",
            models.CheckConstraint(
                condition=~Q(state="confirmed") | (~Q(reason="") & ~Q(decided_by="") & Q(until__isnull=False)),
                name="safeguard_confirmed_by_somebody",
            ),
        ),
        migrations.AddIndex(
            "safeguardreview", models.Index(fields=["sweep", "scope", "-id"], name="safeguard_sweep")
        ),
        migrations.RemoveConstraint("drift", "drift_one_standing_per_kind"),
        migrations.RemoveIndex("drift", "drift_standing"),
        migrations.RenameField("drift", "theirs", "keycloak_value"),
        migrations.RenameField("drift", "gone_at", "resolved_at"),
        update("operations_drift", "kind", ("renamed", "username"), ("remailed", "email")),
        migrations.AddConstraint(
            "drift",
            models.UniqueConstraint(
                fields=["profile", "kind"], condition=Q(resolved_at__isnull=True), name="drift_one_open_per_kind"
            ),
        ),
        migrations.AddIndex(
            "drift",
            models.Index(fields=["kind", "-id"], condition=Q(resolved_at__isnull=True), name="drift_open"),
        ),
        migrations.RenameField("syncresult", "held_back", "awaiting_approval"),
        update(
            "core_job",
            "kind",
            ("look_at_everybody", "reconcile_all"),
            ("write_address_to_keycloak", "write_email_to_keycloak"),
        ),
        update("core_schedule", "kind", ("look_at_everybody", "reconcile_all")),
    ]
