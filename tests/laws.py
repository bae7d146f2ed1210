"""What the tests of the laws share: which laws are broken and by what, and how to break a row in a way that no code of ours does."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

from apps.core import laws
from apps.core.laws import NEEDS_A_WORKER, LawState, Source


def violated(*numbers: str, aside: Collection[str] = (NEEDS_A_WORKER,)) -> dict[str, list[str]]:
    """Each broken law (of all that the database answers, or of these) with the subjects it names; nothing may be unknown."""
    wanted = numbers or [
        law.number for law in laws.all_laws() if law.source == Source.DATABASE and law.number not in aside
    ]
    results = laws.run(wanted)
    assert len(results) == len(wanted)
    unknown = {one.law.number: one.reason for one in results if one.state == LawState.UNKNOWN}
    assert unknown == {}
    return {
        one.law.number: [found.subject_id for found in one.checked.violations]
        for one in results
        if one.state == LawState.VIOLATED
    }


@contextmanager
def sabotage(*statements: str | tuple[str, Any], without: Collection[tuple[str, str]] = ()) -> Iterator[None]:
    """Run these statements past every guard, and undo them at the end. `without`: constraints or indexes, each as (table, name)."""
    mark = transaction.savepoint()  # of the test's own transaction: calls are made meanwhile
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table, name in without:
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}")
            cursor.execute(f"DROP INDEX IF EXISTS {name}")
        for one in statements:
            cursor.execute(*((one,) if isinstance(one, str) else one))
        yield
    transaction.savepoint_rollback(mark)
