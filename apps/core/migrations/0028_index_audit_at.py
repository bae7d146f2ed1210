from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("core", "0027_outages")]

    operations = [
        AddIndexConcurrently(model_name="auditentry", index=models.Index(fields=["at"], name="audit_at")),
    ]
