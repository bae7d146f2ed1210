from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('instances', '0007_draining_is_closed'),
    ]

    operations = [
        ValidateConstraint(model_name='instance', name='instance_draining_is_closed'),
    ]
