"""Subscribers by their Stripe subscription, in any case."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models.functions import Upper


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("accounts", "0026_search_customer")]

    operations = [AddIndexConcurrently("userprofile", models.Index(Upper("stripe_subscription_id"), name="profile_subscription_upper"))]
