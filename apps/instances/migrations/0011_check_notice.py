from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('instances', '0010_notice_has_an_end'),
    ]

    operations = [
        ValidateConstraint(model_name='instance', name='instance_notice_has_an_end'),
    ]
