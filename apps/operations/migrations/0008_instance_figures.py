"""One more figure of each day: the seats taken on an instance. No column changes."""

from django.db import migrations, models

NAMES = [
    ("subscribers", "Paying subscribers"),
    ("revenue", "Revenue per month, in minor units"),
    ("new", "New subscribers"),
    ("lost", "Lost subscribers"),
    ("seats", "Seats taken"),
    ("instance", "Seats taken on an instance"),
]


class Migration(migrations.Migration):
    dependencies = [("operations", "0007_daily_figures")]
    operations = [
        migrations.AlterField("dailyfigure", "name", models.CharField(max_length=12, choices=NAMES)),
    ]
