"""Subscribers by their Stripe customer, in any case."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models.functions import Upper


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("accounts", "0025_export")]

    operations = [AddIndexConcurrently("userprofile", models.Index(Upper("stripe_customer_id"), name="profile_customer_upper"))]
