from typing import ClassVar

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('instances', '0009_location_and_notice'),
    ]

    safe_because: ClassVar[str] = "The previous release does not write these columns, which are new."

    operations = [
        AddConstraintNotValid(
            model_name='instance',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('notice', ''), ('notice_from__isnull', True), ('notice_until__isnull', True)), models.Q(models.Q(('notice', ''), _negated=True), ('notice_from__isnull', False), ('notice_until__gt', models.F('notice_from')), ('notice_until__isnull', False)), _connector='OR'), name='instance_notice_has_an_end'),
        ),
    ]
