"""Takes over the tables that other apps handed over; their content types come along, and with them permissions and log entries."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ("access", "0005_hand_over_to_operations"), ("accounts", "0005_hand_over"),
        ("contenttypes", "0002_remove_content_type_name"),
        ('accounts', '0005_hand_over'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
        migrations.CreateModel(
            name='MassLoss',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sweep', models.CharField(help_text='The kind of job that stopped.', max_length=64)),
                ('scope', models.CharField(blank=True, help_text='Which one, of a kind that runs for many things.', max_length=64)),
                ('state', models.CharField(choices=[('gathering', 'Being counted'), ('asking', 'Waits for staff'), ('confirmed', 'Confirmed'), ('gone', 'No longer so')], default='gathering', max_length=10)),
                ('who', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), default=list, help_text='The subscribers who would lose access.', size=None)),
                ('subscribers', models.PositiveIntegerField(default=0, help_text='How many had access when it was asked.')),
                ('job_key', models.CharField(blank=True, help_text='The job that goes on once it is confirmed.', max_length=200)),
                ('asked_at', models.DateTimeField()),
                ('seen_at', models.DateTimeField(help_text='When the sweep found it last.')),
                ('decided_at', models.DateTimeField(blank=True, null=True)),
                ('decided_by', models.CharField(blank=True, max_length=150)),
                ('reason', models.CharField(blank=True, max_length=300)),
                ('until', models.DateTimeField(blank=True, help_text='A confirmation holds until then.', null=True)),
                ('done_at', models.DateTimeField(blank=True, help_text='When what was confirmed was asked for.', null=True)),
            ],
            options={
                'verbose_name': 'mass loss of access',
                'verbose_name_plural': 'mass losses of access',
                'indexes': [models.Index(fields=['sweep', 'scope', '-id'], name='mass_loss_sweep')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('state__in', ['gathering', 'asking'])), fields=('sweep', 'scope', 'state'), name='mass_loss_one_open_per_sweep'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'confirmed'), _negated=True), models.Q(models.Q(('reason', ''), _negated=True), models.Q(('decided_by', ''), _negated=True), ('until__isnull', False)), _connector='OR'), name='mass_loss_confirmed_by_somebody')],
            },
        ),
        migrations.CreateModel(
            name='SyncRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('scope', models.CharField(choices=[('selected', 'Selected subscribers'), ('differing', 'All that differ')], max_length=10)),
                ('total', models.PositiveIntegerField(help_text='How many people.')),
                ('actor', models.CharField(help_text='Who asked last; who began it is in the timeline.', max_length=150)),
                ('reason', models.CharField(max_length=300)),
                ('created_at', models.DateTimeField()),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='sync_run_has_a_reason'), models.CheckConstraint(condition=models.Q(('total__gt', 0)), name='sync_run_of_somebody')],
            },
        ),
        migrations.CreateModel(
            name='Drift',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('access', 'Other access than is due'), ('disabled', 'Disabled by hand'), ('deleted', 'Deleted by hand'), ('renamed', 'Another username'), ('remailed', 'Another mail address')], max_length=10)),
                ('theirs', models.CharField(blank=True, help_text='What Keycloak says, of a name or an address.', max_length=255)),
                ('steps', models.JSONField(default=list, help_text='The steps that would mend it, as sentences.')),
                ('first_seen_at', models.DateTimeField()),
                ('last_seen_at', models.DateTimeField()),
                ('ignored_until', models.DateTimeField(blank=True, null=True)),
                ('gone_at', models.DateTimeField(blank=True, null=True)),
                ('profile', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='drifts', to='accounts.userprofile')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('gone_at__isnull', True)), fields=['kind', '-id'], name='drift_standing')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('gone_at__isnull', True)), fields=('profile', 'kind'), name='drift_one_standing_per_kind'), models.CheckConstraint(condition=models.Q(('last_seen_at__gte', models.F('first_seen_at'))), name='drift_seen_in_order')],
            },
        ),
        migrations.CreateModel(
            name='SyncResult',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('generation', models.PositiveIntegerField(blank=True, help_text='The ask it waits for; empty: not yet.', null=True)),
                ('held_back', models.BooleanField(default=False, help_text='Would lose access; see the mass guard.')),
                ('outcome', models.CharField(choices=[('waiting', 'Waiting'), ('changed', 'Changed'), ('same', 'Nothing to do')], default='waiting', max_length=8)),
                ('steps', models.JSONField(default=list, help_text='What was changed, as sentences.')),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('profile', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.userprofile')),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='results', to='operations.syncrun')),
            ],
            options={
                'indexes': [models.Index(fields=['run', 'outcome', 'id'], name='sync_result_run'), models.Index(condition=models.Q(('outcome', 'waiting')), fields=['profile'], name='sync_result_open')],
                'constraints': [models.UniqueConstraint(fields=('run', 'profile'), name='sync_result_one_per_person'), models.CheckConstraint(condition=models.Q(('outcome', 'waiting'), models.Q(('ended_at__isnull', False), ('generation__isnull', False)), _connector='OR'), name='sync_result_ended_was_asked')],
            },
        ),
            ]
        ),
        migrations.RunSQL(
            "UPDATE django_content_type SET app_label = 'operations' WHERE app_label = 'access' AND model = 'drift'",
            "UPDATE django_content_type SET app_label = 'access' WHERE app_label = 'operations' AND model = 'drift'",
        ),
        migrations.RunSQL(
            "UPDATE django_content_type SET app_label = 'operations' WHERE app_label = 'access' AND model = 'syncrun'",
            "UPDATE django_content_type SET app_label = 'access' WHERE app_label = 'operations' AND model = 'syncrun'",
        ),
        migrations.RunSQL(
            "UPDATE django_content_type SET app_label = 'operations' WHERE app_label = 'access' AND model = 'syncresult'",
            "UPDATE django_content_type SET app_label = 'access' WHERE app_label = 'operations' AND model = 'syncresult'",
        ),
        migrations.RunSQL(
            "UPDATE django_content_type SET app_label = 'operations' WHERE app_label = 'accounts' AND model = 'massloss'",
            "UPDATE django_content_type SET app_label = 'accounts' WHERE app_label = 'operations' AND model = 'massloss'",
        ),
    ]
