"""Subscribers by what they pay in a month."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("accounts", "0021_money_per_month")]

    operations = [AddIndexConcurrently("userprofile", models.Index(fields=["monthly_amount", "-id"], name="profile_monthly"))]
