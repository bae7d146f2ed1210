"""Whether somebody was reminded of what a seat plan asks them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("operations", "0014_discount_figures")]

    operations = [
        migrations.AddField("seatmove", "reminded_at", models.DateTimeField(blank=True, null=True)),
        migrations.AlterField(
            "seatmove",
            "state",
            models.CharField(
                choices=[
                    ("planned", "Not asked yet"),
                    ("asked", "Asked, no answer yet"),
                    ("agreed", "Agreed, moves soon"),
                    ("declined", "Declined"),
                    ("moved", "Moved"),
                    ("blocked", "Could not be moved"),
                    ("undone", "Moved back"),
                    ("unplaced", "No room"),
                    ("obsolete", "No longer needed"),
                ],
                default="planned",
                max_length=10,
            ),
        ),
    ]
