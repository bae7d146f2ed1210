"""What coupons took off, day by day."""

from django.db import migrations, models

NAMES = [
    ("paid", "Paid"),
    ("refunded", "Refunded"),
    ("lost", "Lost in disputes"),
    ("late", "Late payments"),
    ("discount", "Discounts"),
]


class Migration(migrations.Migration):
    dependencies = [("operations", "0013_datacopy")]

    operations = [migrations.AlterField("reportfigure", "name", models.CharField(choices=NAMES, max_length=12))]
