"""What the test database needs beyond the migrations."""

from django.db import connection


def allow_flush() -> None:
    """Let tests with real transactions empty the audit trail, whose trigger refuses TRUNCATE. Test databases only.

    Call it once, after the database was set up. Changes and deletions of single lines stay refused.
    """
    name = connection.settings_dict["NAME"]
    if not str(name).startswith("test_"):
        raise AssertionError(f"{name} is not a test database")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE core_auditentry DISABLE TRIGGER core_auditentry_no_truncate")
