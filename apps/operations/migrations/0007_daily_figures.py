"""The numbers of the business, day by day."""

from django.db import migrations, models

NAMES = [
    ("subscribers", "Paying subscribers"),
    ("revenue", "Revenue per month, in minor units"),
    ("new", "New subscribers"),
    ("lost", "Lost subscribers"),
    ("seats", "Seats taken"),
]


class Migration(migrations.Migration):
    dependencies = [("operations", "0006_drift_mark")]

    operations = [
        migrations.CreateModel(
            "DailyFigure",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                ("name", models.CharField(choices=NAMES, max_length=12)),
                ("about", models.CharField(blank=True, max_length=60)),
                ("value", models.BigIntegerField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("day", "name", "about"), name="daily_figure_one_a_day")
                ]
            },
        )
    ]
