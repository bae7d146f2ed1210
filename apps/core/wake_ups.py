"""Wake-ups: what the ledger leaves with django-q2, each without a job's id. Any of them runs whatever is due."""

import uuid

from django.utils import timezone
from django_q.conf import Conf
from django_q.signing import SignedPackage
from django_q.tasks import async_task


def wake_up() -> None:
    """Leave one wake-up with django-q2, in the caller's transaction."""
    async_task("apps.core.jobs.run_next_due")


def wake_up_row() -> tuple[str, str]:
    """Queue key and payload of one wake-up, for statements that write the row themselves (billing.intake)."""
    return Conf.CLUSTER_NAME, sign_task("apps.core.jobs.run_next_due")


def sign_task(function: str) -> str:
    """A call of `function` as django-q2 keeps it."""
    task = {"id": uuid.uuid4().hex, "name": function.rpartition(".")[2], "func": function, "args": (), "kwargs": {}}
    signed: str = SignedPackage.dumps(task | {"started": timezone.now(), "ack_failure": Conf.ACK_FAILURES})  # noqa: TID251
    return signed
