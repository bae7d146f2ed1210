"""The right to change what is sold is spelled like the app it is about."""

from django.db import migrations

CODENAME = "UPDATE auth_permission SET codename = %s WHERE codename = %s"


class Migration(migrations.Migration):
    dependencies = [("accounts", "0008_labels"), ("auth", "0012_alter_user_first_name_max_length")]
    operations = [
        migrations.RunSQL(
            [(CODENAME, ["change_catalog", "change_catalogue"])], [(CODENAME, ["change_catalogue", "change_catalog"])]
        ),
        migrations.AlterModelOptions(
            name='userprofile',
            options={'permissions': [('sync_userprofile', 'Can sync a subscriber now'), ('mail_userprofile', 'Can send a subscriber a password mail'), ('allocate_seat', 'Can assign, move and release seats'), ('override_access', 'Can hold, grant and protect access'), ('recover_accounts', 'Can send recovery codes, open recovery and keep seats'), ('retry_job', 'Can retry jobs'), ('change_catalog', 'Can change what is sold'), ('change_capacity', 'Can change instances and their caps'), ('approve_revocations', 'Can approve what the safeguard stopped')], 'verbose_name': 'subscriber'},
        ),
    ]
