"""Keycloak's back channel names the session to end."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("login", "0001_initial"), ("usersessions", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX usersession_sid ON usersessions_usersession ((data -> 'sid'))", "DROP INDEX usersession_sid"
        ),
    ]
