"""Which tables the test's own transaction has written to so far, by Postgres' own count: of inserted, updated and deleted rows.

Stricter than comparing the tables, since a row that is written as it was counts too; and it takes a millisecond.
"""

from collections.abc import Collection

from django.db import connection

# A request may write to these whatever it asks for.
ASIDE = [
    "django_session",  # each visit makes a session last longer
    "core_ratelimit",  # requests are counted
    "cache",  # what Keycloak's realm asks of a username, read anew from time to time
]
VIEWED = ("person_viewed",)  # reading personal data is written down
REFUSED = (*VIEWED, "action_refused")  # and so is asking for what one may not do
WRITES = """
SELECT relname, n_tup_upd + n_tup_del + CASE relname
    WHEN 'core_auditentry' THEN (SELECT count(*) FROM core_auditentry WHERE action <> ALL(%s)) ELSE n_tup_ins END
FROM pg_stat_xact_user_tables WHERE schemaname = current_schema() AND relname <> ALL(%s)
"""


def writes(lines_aside: Collection[str] = VIEWED) -> dict[str, int]:
    """By table, without ASIDE and without lines of the audit log about those actions."""
    with connection.cursor() as cursor:
        cursor.execute(WRITES, [[*lines_aside], ASIDE])
        return dict(cursor.fetchall())


def written(before: dict[str, int], lines_aside: Collection[str] = VIEWED) -> list[str]:
    """The tables that were written to since then."""
    return [name for name, count in writes(lines_aside).items() if count != before.get(name, 0)]
