"""Those for whom somebody else pays."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("accounts", "0035_memberships")]

    operations = [
        AddIndexConcurrently(
            "userprofile",
            models.Index(condition=models.Q(("membership__isnull", False)), fields=["membership"], name="profile_membership"),
        )
    ]
