"""Search by any part of a name or address: trigrams of the upper case, which is what `icontains` asks for."""

from typing import Any, override

from django.contrib.postgres.operations import TrigramExtension
from django.core.management.base import CommandError
from django.db import DatabaseError, migrations


def index_parts(name: str, table: str, *columns: str) -> migrations.RunSQL:
    """An index for `icontains` and `istartswith` on these columns."""
    listed = ", ".join(f'upper("{column}") gin_trgm_ops' for column in columns)
    return migrations.RunSQL(f"CREATE INDEX {name} ON {table} USING gin ({listed})", f"DROP INDEX {name}")


class Trigrams(TrigramExtension):
    """Makes the extension unless it is there, or says who has to."""

    @override
    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        try:
            super().database_forwards(app_label, schema_editor, from_state, to_state)
        except DatabaseError as error:
            raise CommandError(
                "Search needs Postgres' extension pg_trgm, and this database user may not create it, or the server does not"
                " ship it. Let the database's administrator run CREATE EXTENSION pg_trgm in this database, then migrate again."
            ) from error


class Migration(migrations.Migration):
    dependencies = [("accounts", "0013_indexes"), ("auth", "0012_alter_user_first_name_max_length")]

    operations = [
        Trigrams(),
        index_parts("auth_user_search", "auth_user", "username", "first_name", "last_name"),
        index_parts("profile_search", "accounts_userprofile", "email"),
        index_parts("signup_search", "accounts_signup", "email", "username", "first_name", "last_name"),
        migrations.RunSQL("CREATE INDEX signup_upper ON accounts_signup (upper(email))", "DROP INDEX signup_upper"),
        migrations.RunSQL("CREATE INDEX auth_user_upper ON auth_user (upper(username))", "DROP INDEX auth_user_upper"),
        migrations.RunSQL("CREATE INDEX auth_user_staff ON auth_user (id DESC) WHERE is_staff", "DROP INDEX auth_user_staff"),
    ]
