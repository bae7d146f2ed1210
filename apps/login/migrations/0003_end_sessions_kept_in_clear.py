"""Ends the sessions whose keys and values lie readable in the database: the code would no longer find them. People log in once more."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ("login", "0002_sessions_of_keycloak"),
        ("sessions", "0001_initial"),
        ("usersessions", "0001_initial"),
    ]

    operations = [
        migrations.RunSQL(
            ["DELETE FROM usersessions_usersession", "DELETE FROM django_session"], migrations.RunSQL.noop
        ),
    ]
