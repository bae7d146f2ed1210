"""Plain words: `LastSync` instead of `Look`, and a seat that staff keep is a seat. All rows stay."""

from django.db import migrations, models
from django.db.models import Q

RENAME = "UPDATE access_accessoverride SET kind = %s WHERE kind = %s"


class Migration(migrations.Migration):
    dependencies = [("access", "0005_hand_over_to_operations"), ("operations", "0001_initial")]
    operations = [
        migrations.RenameModel("Look", "LastSync"),
        migrations.RemoveIndex("accessoverride", "override_standing"),
        migrations.AddIndex(
            "accessoverride",
            models.Index(fields=["profile"], condition=Q(lifted_at__isnull=True), name="override_active"),
        ),
        migrations.RunSQL([(RENAME, ["keep_seat", "keep_place"])], [(RENAME, ["keep_place", "keep_seat"])]),
    ]
