"""Who pays for whom."""

import django.db.models.deletion
import django.db.models.functions.text
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0034_language'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Membership',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('email', models.EmailField(blank=True, help_text='The address that was invited; empty once it was erased.', max_length=254)),
                ('invited_at', models.DateTimeField()),
                ('accepted_at', models.DateTimeField(blank=True, null=True)),
                ('terms_version', models.CharField(blank=True, help_text='The terms that the member accepted.', max_length=32)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('end', models.CharField(blank=True, choices=[('withdrawn', 'Invitation withdrawn'), ('expired', 'Invitation expired'), ('removed', 'Removed by who pays'), ('left', 'Left'), ('reduced', 'The plan is for fewer people'), ('staff', 'Ended by staff'), ('erased', 'Personal data erased')], max_length=10)),
                ('paid_until', models.DateTimeField(blank=True, null=True)),
                ('products', models.JSONField(blank=True, default=list, help_text='Ids of the products that are shared.')),
                ('member', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to='accounts.userprofile')),
                ('payer', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='people', to='accounts.userprofile')),
            ],
        ),
        migrations.AddField(
            model_name='userprofile',
            name='membership',
            field=models.ForeignKey(blank=True, db_index=False, help_text='By which somebody else pays for them, or did last.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='accounts.membership'),
        ),
        migrations.AddIndex(
            model_name='membership',
            index=models.Index(django.db.models.functions.text.Lower('email'), name='membership_address'),
        ),
        migrations.AddIndex(
            model_name='membership',
            index=models.Index(condition=models.Q(('accepted_at', None)), fields=['ended_at'], name='membership_unused'),
        ),
        migrations.AddConstraint(
            model_name='membership',
            constraint=models.UniqueConstraint(condition=models.Q(('ended_at', None), ('member__isnull', False)), fields=('member',), name='membership_one_open_per_member'),
        ),
        migrations.AddConstraint(
            model_name='membership',
            constraint=models.UniqueConstraint(models.F('payer'), django.db.models.functions.text.Lower('email'), condition=models.Q(('ended_at', None)), name='membership_one_open_per_address'),
        ),
        migrations.AddConstraint(
            model_name='membership',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('accepted_at', None), ('member', None)), models.Q(('accepted_at__gte', models.F('invited_at')), ('accepted_at__isnull', False), ('member__isnull', False)), _connector='OR'), name='membership_accepted_by_somebody'),
        ),
        migrations.AddConstraint(
            model_name='membership',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('end', ''), ('ended_at', None), ('paid_until', None)), models.Q(('accepted_at', None), ('ended_at__isnull', False), ('paid_until', None), models.Q(('end', ''), _negated=True)), models.Q(('accepted_at__isnull', False), ('ended_at__isnull', False), ('paid_until__isnull', False), models.Q(('end', ''), _negated=True)), _connector='OR'), name='membership_ended_for_a_reason'),
        ),
        migrations.AddConstraint(
            model_name='membership',
            constraint=models.CheckConstraint(condition=models.Q(('payer', models.F('member')), _negated=True), name='membership_of_two_people'),
        ),
        migrations.AddConstraint(
            model_name='membership',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('email', ''), _negated=True), ('ended_at__isnull', False), _connector='OR'), name='membership_has_address'),
        ),
    ]
