"""Subscriptions that are set to end."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("billing", "0015_index_ended")]

    operations = [AddIndexConcurrently("subscription", models.Index(fields=["cancel_at"], condition=Q(cancel_at__isnull=False, ended_at__isnull=True), name="subscription_leaving"))]
