"""What the reports count, day by day."""

from django.db import migrations, models

NAMES = [
    ("paid", "Paid"),
    ("refunded", "Refunded"),
    ("lost", "Lost in disputes"),
    ("late", "Late payments"),
]


class Migration(migrations.Migration):
    dependencies = [("operations", "0010_seat_plans")]

    operations = [
        migrations.CreateModel(
            "ReportFigure",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                ("name", models.CharField(choices=NAMES, max_length=12)),
                ("about", models.CharField(blank=True, max_length=60)),
                ("currency", models.CharField(blank=True, max_length=16)),
                ("count", models.BigIntegerField()),
                ("amount", models.BigIntegerField(help_text="Minor units.")),
                ("seconds", models.BigIntegerField(default=0, help_text="Of late payments, until they were paid.")),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("day", "name", "about", "currency"), name="report_figure_one_a_day"
                    )
                ]
            },
        )
    ]
