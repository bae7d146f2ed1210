"""The rule for calls to other systems: never while a database transaction is open.

A call that hangs for ten seconds would hold its locks that long, and a rollback could not take the call back. Code
that calls out (identity, billing) checks here first; it costs no query.
"""

from django.db import connection


class InsideTransactionError(RuntimeError):
    """Code tried to call another system while a transaction was open. A bug of ours: the job ledger logs its trace."""


def refuse_inside_transaction() -> None:
    """Raise InsideTransactionError when a transaction is open; the one that wraps a test case does not count."""
    # Django marks the blocks of its own TestCase; there is no public way to ask (django/test/testcases.py).
    if any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks):
        raise InsideTransactionError("No call to another system while a transaction is open.")
