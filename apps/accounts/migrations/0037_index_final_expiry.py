from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("accounts", "0036_index_memberships")]

    operations = [
        AddIndexConcurrently(
            model_name="userprofile",
            index=models.Index(fields=["final_expiry_at"], condition=Q(final_expiry_at__isnull=False) & ~Q(access_state="expired"), name="profile_final_expiry"),
        ),
    ]
