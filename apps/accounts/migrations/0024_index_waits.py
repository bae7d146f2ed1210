"""Who has paid and waits for access, to find at once."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q

WAITS = Q(
    pending_since__isnull=False,
    subscription_status__in=["trialing", "active"],
    access_state__in=["none", "suspended", "recovering", "canceled", "expired"],
)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("accounts", "0023_index_joined")]

    operations = [
        AddIndexConcurrently(
            "userprofile", models.Index(fields=["pending_since"], condition=WAITS, name="profile_waits_for_access")
        )
    ]
