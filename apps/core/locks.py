"""Postgres advisory locks: every class of them in one table, so that no number is used for two purposes."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum, unique

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper


@unique
class LockClass(IntEnum):
    """What a lock protects; its key is a 32-bit number, or the hash of a text."""

    JOB_RUN = 7011  # by job: a runner is alive
    AUDIT_CHAIN = 7012  # by subject: one writer per hash chain
    SEATS_OF_SUBSCRIBER = 7013  # by profile: one change of a subscriber's seats at a time
    UNPAID_SEATS = 7015  # one reservation for a payment at a time, so that bounds of all of them hold
    RESTORE_CHECK = 7016  # one process goes on with the check after a restore
    CUSTOMER_CHANGES = 7027  # changes of customers are numbered by one at a time
    MIGRATIONS = 7017  # one migrate at a time
    SYNC_RUN_START = 7014  # by actor: a double click starts one run
    PRODUCT_HOST = 7026  # one at a time, an instance begins to command a product
    SEAT_PLAN = 7022  # by product: one plan of its seats begins at a time
    INCIDENT = 7021  # incident mode begins, or what it held back is released
    OUTAGES = 7025  # by system: an outage that several processes noticed is written down once
    TERMS = 7024  # one change of terms is saved at a time
    PAYMENTS_OF_CUSTOMER = 7018  # by Stripe customer: staff change one thing of a customer's money at a time


PAST = "PAST_POOLER"  # in the settings of a connection through a pooler: what leads past it
LOCK_NUMBER = "SELECT pg_advisory_xact_lock(%s, %s)"
LOCK_TEXT = "SELECT pg_advisory_xact_lock(%s, hashtext(%s))"
LOCK_TEXTS = (
    "SELECT pg_advisory_xact_lock(%(lock)s, hash) FROM"
    " (SELECT DISTINCT hashtext(one) AS hash FROM unnest(%(keys)s::text[]) AS one ORDER BY 1) AS hashes"
)  # many keys, always in the same order, so that two callers never wait for each other


def lock_key(number: int) -> int:
    """A row's id as the 32-bit key of a lock. Two ids may share a key: then one only waits for the other."""
    return number % 2**31


def lock_until_commit(lock_class: LockClass, key: int | str) -> None:
    """Wait for the lock and hold it until the caller's transaction ends."""
    with connection.cursor() as cursor:
        if isinstance(key, int):
            cursor.execute(LOCK_NUMBER, [lock_class, lock_key(key)])
        else:
            cursor.execute(LOCK_TEXT, [lock_class, key])


@contextmanager
def hold_if_free(lock_class: LockClass, key: str) -> Iterator[bool]:
    """Hold the lock until the block ends, over transactions and calls; yields False at once while somebody else holds it."""
    with _own_session() as session:
        with session.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [lock_class, key])
            (held,) = cursor.fetchone()
        try:
            yield held
        finally:
            if held:
                with session.cursor() as cursor:
                    cursor.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", [lock_class, key])


@contextmanager
def _own_session() -> Iterator[BaseDatabaseWrapper]:
    """A connection whose session is ours alone: the usual one, or another where a pooler may lend that (`core.pooling`)."""
    past = connection.settings_dict.get(PAST)
    if past is None:
        yield connection
        return
    own = connection.copy()
    own.settings_dict.update(past)
    try:
        yield own
    finally:
        own.close()
