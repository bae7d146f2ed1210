from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('instances', '0005_counters_by_state'),
    ]

    operations = [
        migrations.AddField(
            model_name='instance',
            name='draining_since',
            field=models.DateTimeField(blank=True, editable=False, help_text='Since a seat plan is emptying it: nobody comes in.', null=True),
        ),
    ]
