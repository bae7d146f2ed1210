from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('instances', '0006_draining'),
    ]

    operations = [
        AddConstraintNotValid(
            model_name='instance',
            constraint=models.CheckConstraint(condition=models.Q(('draining_since__isnull', True), ('auto_allocate', False), _connector='OR'), name='instance_draining_is_closed'),
        ),
    ]
