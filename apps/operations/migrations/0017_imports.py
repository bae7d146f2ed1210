"""Imports of existing customers."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0039_imported_at'),
        ('operations', '0016_index_newest_drift'),
    ]

    operations = [
        migrations.CreateModel(
            name='CustomerImport',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('source', models.CharField(choices=[('csv', 'CSV file'), ('stripe', 'Stripe customers'), ('keycloak', 'Keycloak users')], max_length=8)),
                ('name', models.CharField(blank=True, help_text='Of the file.', max_length=120)),
                ('state', models.CharField(choices=[('reading', 'Checking'), ('planned', 'Waits for you'), ('running', 'Importing'), ('paused', 'Paused'), ('done', 'Done'), ('undoing', 'Being undone'), ('undone', 'Undone'), ('abandoned', 'Abandoned')], default='reading', max_length=9)),
                ('stages', models.JSONField(blank=True, default=list, help_text='What the check still has to do, in this order.')),
                ('cursor', models.CharField(blank=True, help_text='How far the present stage is.', max_length=255)),
                ('sends_emails', models.BooleanField(default=False, help_text='Who gets a new account also gets an email to set its password.')),
                ('actor', models.CharField(max_length=150)),
                ('reason', models.CharField(max_length=300)),
                ('created_at', models.DateTimeField()),
                ('checked_at', models.DateTimeField(blank=True, help_text='When Keycloak and Stripe were read.', null=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'verbose_name': 'import',
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('reason', ''), _negated=True), models.Q(('actor', ''), _negated=True)), name='import_has_a_reason'), models.CheckConstraint(condition=models.Q(models.Q(('ended_at__isnull', False), ('state__in', ['done', 'undone', 'abandoned'])), models.Q(models.Q(('state__in', ['done', 'undone', 'abandoned']), _negated=True), ('ended_at__isnull', True)), _connector='OR'), name='import_ended_has_time')],
            },
        ),
        migrations.CreateModel(
            name='ImportRow',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField(help_text='Of the line in the file, or in the order of the source.')),
                ('email', models.CharField(blank=True, max_length=254)),
                ('username', models.CharField(blank=True, max_length=150)),
                ('first_name', models.CharField(blank=True, max_length=120)),
                ('last_name', models.CharField(blank=True, max_length=120)),
                ('language', models.CharField(blank=True, max_length=2)),
                ('keycloak_id', models.CharField(blank=True, max_length=36)),
                ('customer_id', models.CharField(blank=True, max_length=255)),
                ('products', models.JSONField(blank=True, default=list, help_text='What a grant gives, by slug.')),
                ('seats', models.JSONField(blank=True, default=dict, help_text='Product to instance, both by slug.')),
                ('access_until', models.DateTimeField(blank=True, help_text='Until when access is granted without payment.', null=True)),
                ('problem', models.CharField(blank=True, help_text='Why the row cannot be read.', max_length=300)),
                ('account', models.JSONField(blank=True, default=dict, help_text='The account that Keycloak has of them.')),
                ('customers', models.JSONField(blank=True, default=dict, help_text='Their customers at Stripe, with subscriptions.')),
                ('answers', models.JSONField(blank=True, default=dict, help_text='What staff decided, by question.')),
                ('verdict', models.CharField(blank=True, choices=[('ready', 'Ready'), ('decision', 'Needs a decision'), ('conflict', 'Conflict'), ('here', 'Here already'), ('left_out', 'Left out')], max_length=8)),
                ('question', models.CharField(blank=True, help_text='What staff have to decide.', max_length=20)),
                ('choices', models.JSONField(blank=True, default=list, help_text='What they may decide: value and words.')),
                ('why', models.CharField(blank=True, max_length=400)),
                ('becomes', models.CharField(blank=True, help_text='The access state by the first decision.', max_length=12)),
                ('state', models.CharField(choices=[('planned', 'Not imported'), ('imported', 'Imported'), ('undoing', 'Being undone'), ('undone', 'Undone'), ('kept', 'Kept')], default='planned', max_length=8)),
                ('note', models.CharField(blank=True, help_text='Why it was kept, or not imported.', max_length=300)),
                ('imported_at', models.DateTimeField(blank=True, null=True)),
                ('profile', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='accounts.userprofile')),
                ('run', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='rows', to='operations.customerimport')),
            ],
            options={
                'verbose_name': 'row of an import',
                'verbose_name_plural': 'rows of imports',
                'indexes': [models.Index(fields=['run', 'verdict', 'id'], name='import_row_verdict'), models.Index(fields=['run', 'state', 'id'], name='import_row_state'), models.Index(fields=['run', 'email'], name='import_row_email'), models.Index(condition=models.Q(('customer_id', ''), _negated=True), fields=['run', 'customer_id'], name='import_row_customer'), models.Index(condition=models.Q(('keycloak_id', ''), _negated=True), fields=['run', 'keycloak_id'], name='import_row_account')],
                'constraints': [models.UniqueConstraint(fields=('run', 'number'), name='import_row_once_per_number'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'imported'), _negated=True), ('imported_at__isnull', False), _connector='OR'), name='import_row_imported_has_time'), models.CheckConstraint(condition=models.Q(models.Q(('verdict', 'decision'), _negated=True), models.Q(('question', ''), _negated=True), _connector='OR'), name='import_row_decision_has_a_question')],
            },
        ),
    ]
