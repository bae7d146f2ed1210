from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("accounts", "0037_index_final_expiry")]

    operations = [
        AddIndexConcurrently(
            model_name="privacyrequest",
            index=models.Index(fields=["due_on", "-id"], condition=Q(state="open"), name="privacy_open"),
        ),
    ]
