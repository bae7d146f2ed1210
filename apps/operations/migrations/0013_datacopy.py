import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0032_see_personal_data'),
        ('operations', '0012_terms_previews'),
    ]

    operations = [
        migrations.CreateModel(
            name='DataCopy',
            fields=[
                ('profile', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='data_copy', serialize=False, to='accounts.userprofile')),
                ('requested_at', models.DateTimeField()),
                ('ready_at', models.DateTimeField(blank=True, null=True)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('encrypted', models.TextField(blank=True, help_text='The copy, so that the table alone tells nothing.')),
            ],
            options={
                'verbose_name_plural': 'data copies',
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('encrypted', ''), ('expires_at__isnull', True), ('ready_at__isnull', True)), models.Q(('expires_at__gt', models.F('ready_at')), ('expires_at__isnull', False), ('ready_at__isnull', False), models.Q(('encrypted', ''), _negated=True)), _connector='OR'), name='data_copy_ready_expires')],
            },
        ),
    ]
