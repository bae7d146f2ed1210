import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0007_labels'),
        ('onboarding', '0002_rename_job_kinds'),
    ]

    operations = [
        migrations.AlterField(
            model_name='onetimecode',
            name='code_hash',
            field=models.CharField(blank=True, help_text='Empty: a code that was not sent and never matches.', max_length=200),
        ),
        migrations.AlterField(
            model_name='waitlistentry',
            name='invited_until',
            field=models.DateTimeField(blank=True, help_text='Until then the seat is reserved.', null=True),
        ),
        migrations.AlterField(
            model_name='waitlistentry',
            name='profile',
            field=models.ForeignKey(blank=True, help_text='The subscriber the seat is reserved for.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='accounts.userprofile'),
        ),
    ]
