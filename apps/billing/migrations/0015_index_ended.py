"""Subscriptions by when they ended."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("billing", "0014_fill_money_per_month")]

    operations = [AddIndexConcurrently("subscription", models.Index(fields=["ended_at"], condition=Q(ended_at__isnull=False), name="subscription_ended"))]
