"""A seat kept for a payment is `reserved`, no longer `held`: a hold is what staff put on a subscriber."""

from django.db import migrations, models
from django.db.models import Q

RENAME = "UPDATE instances_seat SET state = %s WHERE state = %s"


class Migration(migrations.Migration):
    dependencies = [("instances", "0001_initial")]
    operations = [
        migrations.RemoveConstraint("seat", "seat_held_has_an_end"),
        migrations.RemoveIndex("seat", "seat_held_until"),
        migrations.RenameField("seat", "held_until", "reserved_until"),
        migrations.AlterField(
            "seat",
            "state",
            models.CharField(
                choices=[
                    ("reserved", "Reserved"),
                    ("assigned", "Assigned"),
                    ("retained", "Retained"),
                    ("released", "Released"),
                ],
                max_length=8,
            ),
        ),
        migrations.RunSQL([(RENAME, ["reserved", "held"])], [(RENAME, ["held", "reserved"])]),
        migrations.AddConstraint(
            "seat",
            models.CheckConstraint(
                condition=Q(state="reserved", reserved_until__isnull=False)
                | Q(~Q(state="reserved"), reserved_until__isnull=True),
                name="seat_reserved_has_an_end",
            ),
        ),
        migrations.AddIndex(
            "seat",
            models.Index(fields=["reserved_until"], condition=Q(state="reserved"), name="seat_reserved_until"),
        ),
    ]
