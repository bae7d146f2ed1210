"""What the test database needs beyond the migrations, and how tests with real transactions leave it empty."""

from typing import Any

from django.db import connection
from django.db.backends.postgresql.creation import DatabaseCreation
from psycopg import sql

KEPT = ("django_migrations", "django_content_type", "auth_permission")  # what migrations have written


def _drop(creation: DatabaseCreation, test_database_name: str, _verbosity: int) -> None:
    """Also while a server that a test has killed, or a thread that it has left, still holds a session."""
    name: Any = creation.connection.ops.quote_name(test_database_name)
    with creation._nodb_cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


DatabaseCreation._destroy_test_db = _drop  # type: ignore[method-assign]


def empty() -> None:
    """Delete every row a test has left. Django's own flush truncates a hundred tables, whether there is a row or not.

    As a superuser without triggers, so that no order of the tables matters and the audit trail, too, can go. Test databases only.
    """
    _refuse_others()
    deletes = "".join(f"DELETE FROM {name}; " for name in used())
    with connection.cursor() as cursor:
        cursor.execute(f"BEGIN; SET LOCAL session_replication_role = replica; {deletes}COMMIT")


def used() -> list[str]:
    """The tables that have a row, but for those that migrations have filled."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> ALL(%s)", [list(KEPT)]
        )
        tables = [connection.ops.quote_name(name) for (name,) in cursor.fetchall()]
        cursor.execute(" UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name})" for name in tables))
        return [str(name) for (name,) in cursor.fetchall()]


def script_of_rows() -> str:
    """SQL that writes every row that is there now once more into an empty database, under the same numbers."""
    inserts = []
    with connection.cursor() as cursor:
        for name in used():
            cursor.execute(f"SELECT json_agg(one)::text FROM {name} AS one")
            rows = sql.Literal(cursor.fetchone()[0]).as_string(connection.connection)
            inserts.append(f"INSERT INTO {name} SELECT * FROM json_populate_recordset(NULL::{name}, {rows});")
    return "\n".join(inserts)


def is_superuser() -> bool:
    """Whether the test's connection may do everything, as it is unless the test has taken another role."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        return bool(cursor.fetchone()[0])


def run(script: str) -> None:
    """All statements of a script, in one go."""
    with connection.cursor() as cursor:
        cursor.execute(script)


def replace(script: str) -> None:
    """The rows of a script in the place of all there are, within the test's transaction."""
    _refuse_others()
    deletes = "".join(f"DELETE FROM {name}; " for name in used())
    run(f"SET LOCAL session_replication_role = replica; {deletes}{script}SET LOCAL session_replication_role = origin")


def _refuse_others() -> None:
    name = connection.settings_dict["NAME"]
    if not str(name).startswith("test_"):
        raise AssertionError(f"{name} is not a test database")
