from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("core", "0028_index_audit_at")]

    operations = [
        AddIndexConcurrently(
            model_name="auditentry",
            index=models.Index(
                fields=["-id"],
                condition=Q(actor__startswith="staff:") & ~Q(action__in=["person_viewed", "staff_logged_in"]),
                name="audit_by_staff",
            ),
        ),
    ]
