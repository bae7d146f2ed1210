"""The accounts from before Keycloak and Stripe were told the language: an index that empties itself."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("accounts", "0044_language_told")]

    operations = [
        AddIndexConcurrently(
            model_name="userprofile",
            index=models.Index(
                condition=Q(language_told_at=None, keycloak_id__isnull=False), fields=["id"], name="profile_language_untold"
            ),
        ),
    ]
