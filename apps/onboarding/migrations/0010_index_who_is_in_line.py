from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("onboarding", "0009_addresschange")]

    operations = [
        AddIndexConcurrently(
            model_name="waitlistentry",
            index=models.Index(fields=["created_at", "id"], condition=Q(state="waiting", confirmed_at__isnull=False), name="waitlist_in_line"),
        ),
    ]
