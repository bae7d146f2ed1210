from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("core", "0029_index_audit_by_staff")]

    operations = [
        AddIndexConcurrently(
            model_name="job",
            index=models.Index(fields=["-id"], condition=Q(state__in=["blocked", "dead"]), name="job_stuck"),
        ),
    ]
