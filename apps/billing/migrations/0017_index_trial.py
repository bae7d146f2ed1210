"""Subscriptions by the end of their trial."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("billing", "0016_index_leaving")]

    operations = [AddIndexConcurrently("subscription", models.Index(fields=["trial_end"], condition=Q(trial_end__isnull=False), name="subscription_trial"))]
