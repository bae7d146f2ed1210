"""Staff decide about somebody while a reconcile records: neither waits for the other for ever."""

import threading
from collections.abc import Callable

import pytest
from django.db import OperationalError, connection, transaction

from apps.access import overrides
from apps.accounts.models import UserProfile
from apps.core import audit
from apps.core.audit_actions import AuditAction
from tests.waiting import somebody_waits
from tests.world import World

pytestmark = pytest.mark.django_db(transaction=True)
STAFF = {"actor": "staff:ada", "reason": "She asked for it"}


def decide_between(profile: UserProfile, decide: Callable[[], object]) -> list[Exception]:
    """`decide` on another connection, from the moment at which a recording holds the row until it writes its audit line."""
    errors: list[Exception] = []

    def other() -> None:
        try:
            with transaction.atomic():
                decide()
        except OperationalError as error:
            errors.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=other)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            UserProfile.objects.filter(pk=profile.pk).update(access_state="active")
            thread.start()
            for _ in range(2_000):
                if somebody_waits():
                    break
                cursor.execute("SELECT pg_sleep(0.01)")
            audit.record(subject=profile.subject, action=AuditAction.ACCESS_CHANGED)
    except OperationalError as error:
        errors.append(error)
    thread.join()
    return errors


def test_a_hold_and_a_reconcile_do_not_wait_for_each_other(world: World) -> None:
    dana = world.subscriber("dana")
    assert decide_between(dana, lambda: overrides.hold(profile=dana, **STAFF)) == []
    held = dana.overrides.get()
    assert decide_between(dana, lambda: overrides.lift(override=held, **STAFF)) == []


@pytest.mark.mutant
def test_the_other_order_is_a_deadlock(world: World) -> None:
    dana = world.subscriber("dana")

    def audited_first() -> None:
        audit.record(subject=dana.subject, action=AuditAction.OVERRIDE_ADDED)
        UserProfile.objects.filter(pk=dana.pk).update(pending_since=None)

    (error,) = decide_between(dana, audited_first)
    assert "deadlock" in str(error)
