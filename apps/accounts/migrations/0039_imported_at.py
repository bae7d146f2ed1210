"""Subscribers who were imported, and the right to import."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', "0038_index_open_privacy_requests"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='userprofile',
            options={'permissions': [('see_personal_data', 'Can see names, addresses and other personal data'), ('sync_userprofile', 'Can sync a subscriber now'), ('mail_userprofile', 'Can send a subscriber a password mail'), ('allocate_seat', 'Can assign, move and release seats'), ('override_access', 'Can hold, grant and protect access'), ('export_userprofile', 'Can export the list of subscribers'), ('import_customers', 'Can import existing customers, and undo it'), ('recover_accounts', 'Can send recovery codes, open recovery and keep seats'), ('extend_grace', 'Can extend the grace period of a late payment, within limits'), ('write_note', 'Can write notes about subscribers'), ('retry_job', 'Can retry jobs'), ('retry_payment', 'Can collect an open payment again'), ('schedule_cancellation', "Can cancel at the period's end, and undo it"), ('refund_payment', 'Can refund payments'), ('refund_large_payment', 'Can refund more than the limit at once'), ('cancel_subscription', 'Can cancel subscriptions at once'), ('pause_collection', 'Can pause and resume payments'), ('change_catalog', 'Can change what is sold'), ('change_capacity', 'Can change instances and their caps'), ('change_terms', 'Can change the terms: grace, recovery window, final expiry'), ('approve_revocations', 'Can approve what the safeguard stopped'), ('freeze_access', 'Can begin, prolong and end incident mode'), ('record_privacy_request', 'Can record and close privacy requests'), ('export_person', 'Can export the personal data of one subscriber'), ('erase_person', 'Can erase the personal data of one subscriber'), ('set_legal_hold', 'Can set and end legal holds')], 'verbose_name': 'subscriber'},
        ),
        migrations.AddField(
            model_name='userprofile',
            name='imported_at',
            field=models.DateTimeField(blank=True, help_text='Was a customer before; of what had happened by then no email tells.', null=True),
        ),
    ]
