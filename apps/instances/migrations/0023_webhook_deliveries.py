import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('instances', '0022_one_instance_per_server'),
    ]

    operations = [
        migrations.CreateModel(
            name='WebhookDelivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('message_id', models.CharField(max_length=40, unique=True)),
                ('kind', models.CharField(choices=[('account.order', 'Order'), ('account.read', 'Question'), ('endpoint.test', 'Test')], max_length=20)),
                ('order', models.JSONField(default=dict, help_text='What the account should be, as the message said.')),
                ('state', models.CharField(choices=[('sent', 'Sent'), ('accepted', 'Accepted'), ('refused', 'Refused'), ('failed', 'Failed, to be repeated')], default='sent', max_length=8)),
                ('status', models.PositiveSmallIntegerField(help_text='Of the HTTP answer; empty: there was none.', null=True)),
                ('milliseconds', models.PositiveIntegerField(help_text='Until the answer was read.', null=True)),
                ('answer', models.CharField(blank=True, help_text='How the answer begins, without secrets.', max_length=500)),
                ('sent_at', models.DateTimeField()),
                ('account', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='instances.productaccount')),
                ('instance', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='instances.instance')),
            ],
            options={
                'verbose_name': 'webhook delivery',
                'verbose_name_plural': 'webhook deliveries',
                'indexes': [models.Index(fields=['sent_at'], name='webhook_delivery_sent_at'), models.Index(fields=['instance', '-id'], name='webhook_delivery_by_instance'), models.Index(fields=['state', '-id'], name='webhook_delivery_by_state')],
            },
        ),
    ]
