"""Has a product told again what each of its accounts should be, all of one instance: after it was restored from a backup.

Promises: a slice of the accounts at a time, by the same job as any order and after all orders that somebody waits for; deleted
accounts too, which a backup brings back; a product that can be read is only written where it differs.
"""

from django.db import transaction
from django.db.models import Count

from apps.core import audit, jobs
from apps.core.audit_actions import AuditAction
from apps.core.dependencies import RESTORED
from apps.core.errors import BadInput
from apps.core.models import Job
from apps.instances.models import Instance, ProductAccount
from apps.instances.provisioning.accounts import KIND as ACCOUNT_KIND
from apps.instances.provisioning.accounts import lane_of, sync_many_soon

KIND = "resend_orders"
SLICE = 500


def register() -> None:
    """Make the job kind known."""
    jobs.register(
        KIND, queue_slice, label="Send all orders of an instance again", needs=(RESTORED,), importance=Job.Importance.SWEEP
    )  # fmt: skip


def count_by_state(instance: Instance) -> list[tuple[ProductAccount.State, int]]:
    """How many accounts should be what."""
    found = dict(instance.product_accounts.order_by().values_list("state").annotate(count=Count("pk")))
    return [(one, found[one.value]) for one in ProductAccount.State if one.value in found]


def refuse_resending(instance: Instance) -> str:
    """Why nothing can be sent again; empty: it can."""
    if not hasattr(instance, "provisioning"):
        return f"{instance} takes no orders."
    return "" if instance.product_accounts.exists() else "No account was ordered there yet."


@transaction.atomic
def send_all_again(instance: Instance, *, expected: int, actor: str, reason: str) -> None:
    """Queue an order for each account of the instance, if they are still so many; a second time meanwhile begins again."""
    if refusal := refuse_resending(instance):
        raise BadInput(refusal)
    count = instance.product_accounts.count()
    if count != expected:
        raise BadInput(f"There are {count} accounts now, and not {expected}.", field="expected")
    audit.record(
        subject=("instance", instance.pk), action=AuditAction.PRODUCT_ORDER_SENT_AGAIN, actor=actor, reason=reason,
        after={"accounts": count},
    )  # fmt: skip
    jobs.defer(KIND, f"{instance.pk}:0", reason=f"asked by {actor}", lane=f"{KIND}:{instance.pk}")


def queue_slice(key: str) -> None:
    """The job: the orders of the next accounts of an instance. `key`: its id, and that of the last account."""
    instance_id, last = map(int, key.split(":"))
    with transaction.atomic():
        rows = ProductAccount.objects.filter(instance=instance_id, pk__gt=last).order_by("pk")
        found = list(rows.values_list("pk", flat=True)[:SLICE])
        sync_many_soon(instance_id, found, reason="sent again", importance=Job.Importance.SWEEP)
        if len(found) == SLICE:
            following = f"{instance_id}:{found[-1]}"
            jobs.defer(KIND, following, reason="the next slice", lane=f"{KIND}:{instance_id}")


def count_waiting(instance: Instance) -> int:
    """How many orders of the instance wait, with those that are still to be queued."""
    queued = Job.objects.filter(state=Job.State.QUEUED)
    waiting = queued.filter(kind=ACCOUNT_KIND, lane=lane_of(instance.pk)).count()
    slices = queued.filter(kind=KIND, key__startswith=f"{instance.pk}:").values_list("key", flat=True)
    last = min((int(key.split(":")[1]) for key in slices), default=None)
    return waiting if last is None else waiting + instance.product_accounts.filter(pk__gt=last).count()
