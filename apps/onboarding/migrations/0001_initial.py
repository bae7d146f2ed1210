"""Takes over the tables that other apps handed over; their content types come along, and with them permissions and log entries."""

import django.db.models.deletion
import django.db.models.functions.text
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ("storefront", "0003_hand_over_to_onboarding"),
        ("contenttypes", "0002_remove_content_type_name"),
        ('accounts', '0005_hand_over'),
        ('catalog', '0002_names_given_and_other_intervals'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
        migrations.CreateModel(
            name='OneTimeCode',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('purpose', models.CharField(choices=[('signup', 'Signup'), ('recovery', 'Recovery')], max_length=10)),
                ('subject', models.CharField(help_text='Keyed hash of the address.', max_length=64)),
                ('session', models.CharField(help_text='Keyed hash of the browser session.', max_length=64)),
                ('code_hash', models.CharField(blank=True, help_text='Empty: a code nobody was sent; never matches.', max_length=200)),
                ('tries', models.PositiveSmallIntegerField(default=0)),
                ('created_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('used_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'indexes': [models.Index(fields=['expires_at'], name='code_expires')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('used_at__isnull', True)), fields=('purpose', 'subject', 'session'), name='code_one_live_per_purpose'), models.CheckConstraint(condition=models.Q(('tries__lte', 5)), name='code_tries_bounded')],
            },
        ),
        migrations.CreateModel(
            name='WaitlistEntry',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('email', models.EmailField(max_length=254)),
                ('state', models.CharField(choices=[('waiting', 'Waiting'), ('invited', 'Invited'), ('served', 'Signed up'), ('left', 'Left')], default='waiting', max_length=8)),
                ('created_at', models.DateTimeField()),
                ('confirmed_at', models.DateTimeField(blank=True, null=True)),
                ('invited_at', models.DateTimeField(blank=True, null=True)),
                ('invited_until', models.DateTimeField(blank=True, help_text='Until then the seat is held.', null=True)),
                ('product', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='waitlist', to='catalog.product')),
                ('profile', models.ForeignKey(blank=True, help_text='Whom the seat is held for.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='accounts.userprofile')),
            ],
            options={
                'verbose_name_plural': 'waitlist entries',
                'indexes': [models.Index(fields=['product', 'state', 'created_at'], name='waitlist_order')],
                'constraints': [models.UniqueConstraint(django.db.models.functions.text.Lower('email'), models.F('product'), name='waitlist_one_per_email_and_product', nulls_distinct=False), models.CheckConstraint(condition=models.Q(models.Q(('state', 'invited'), _negated=True), models.Q(('confirmed_at__isnull', False), ('invited_until__isnull', False)), _connector='OR'), name='waitlist_invited_is_confirmed_and_ends')],
            },
        ),
            ]
        ),
        migrations.RunSQL(
            "UPDATE django_content_type SET app_label = 'onboarding' WHERE app_label = 'storefront' AND model = 'onetimecode'",
            "UPDATE django_content_type SET app_label = 'storefront' WHERE app_label = 'onboarding' AND model = 'onetimecode'",
        ),
        migrations.RunSQL(
            "UPDATE django_content_type SET app_label = 'onboarding' WHERE app_label = 'storefront' AND model = 'waitlistentry'",
            "UPDATE django_content_type SET app_label = 'storefront' WHERE app_label = 'onboarding' AND model = 'waitlistentry'",
        ),
    ]
