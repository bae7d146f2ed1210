"""Subscriptions by their next period."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("billing", "0017_index_trial")]

    operations = [AddIndexConcurrently("subscription", models.Index(fields=["current_period_end"], condition=Q(ended_at__isnull=True), name="subscription_period"))]
