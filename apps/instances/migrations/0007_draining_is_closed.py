from typing import ClassVar

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('instances', '0006_draining'),
    ]

    safe_because: ClassVar[str] = "Only an instance that the new release drains could break it, and who opens that one is refused."

    operations = [
        AddConstraintNotValid(
            model_name='instance',
            constraint=models.CheckConstraint(condition=models.Q(('draining_since__isnull', True), ('auto_allocate', False), _connector='OR'), name='instance_draining_is_closed'),
        ),
    ]
