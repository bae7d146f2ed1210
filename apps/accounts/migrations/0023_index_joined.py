"""Subscribers by when they joined."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("accounts", "0022_index_money")]

    operations = [AddIndexConcurrently("userprofile", models.Index(fields=["created_at"], name="profile_joined"))]
