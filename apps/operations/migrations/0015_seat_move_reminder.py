"""Whether somebody was reminded of what a seat plan asks them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("operations", "0014_discount_figures")]

    operations = [migrations.AddField("seatmove", "reminded_at", models.DateTimeField(blank=True, null=True))]
