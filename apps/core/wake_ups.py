"""Wake-ups: what the ledger leaves with django-q2, each without a job's id. Any of them runs whatever is due."""

import uuid

from django.conf import settings
from django.utils import timezone
from django_q.conf import Conf
from django_q.models import OrmQ
from django_q.signing import SignedPackage

TURN_SECONDS = 5  # a worker begins no other job after so much time: it may be replaced, or told to stop
TURN = "apps.core.turns.take_turn"


def wake_up(count: int = 1) -> None:
    """Leave wake-ups with django-q2, in the caller's transaction; each takes a worker for as long as jobs are due."""
    now = timezone.now()  # noqa: TID251  (django-q2's queue lives in the system's time)
    queue, payload = wake_up_row()
    OrmQ.objects.bulk_create(OrmQ(key=queue, payload=payload, lock=now) for _ in range(count))


def wake_up_row() -> tuple[str, str]:
    """Queue key and payload of one wake-up, for statements that write the row themselves (billing.intake)."""
    return Conf.CLUSTER_NAME, sign_task(TURN, timeout=TURN_SECONDS + settings.JOB_TIMEOUT_SECONDS)


def sign_task(function: str, *, timeout: int = settings.JOB_TIMEOUT_SECONDS) -> str:
    """A call of `function` as django-q2 keeps it; `timeout`: seconds."""
    task = {
        "id": uuid.uuid4().hex,
        "name": function.rpartition(".")[2],
        "func": function,
        "args": (),
        "kwargs": {},
        "timeout": timeout,
    }
    signed: str = SignedPackage.dumps(task | {"started": timezone.now(), "ack_failure": Conf.ACK_FAILURES})  # noqa: TID251
    return signed
