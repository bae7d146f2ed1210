"""Every few minutes: accounts in products that have been kept long enough, and those whose reading is due."""

from apps.access import reconcile
from apps.access.models import AccessFreeze
from apps.core import clock, jobs
from apps.core.models import Job
from apps.instances.models import ProductAccount
from apps.instances.provisioning import checks

KIND = "sweep_products"
EVERY_SECONDS = 300
MOST = 500  # people of one sweep


def register() -> None:
    """Make the sweep known."""
    jobs.register(KIND, sweep_products, label="Sweep for accounts in products", every=EVERY_SECONDS)


def sweep_products(_key: str = "") -> None:
    """The job. The reconciler deletes, not the sweep; and in incident mode nobody is asked to."""
    checks.check_due()
    if AccessFreeze.in_force(clock.now()).exists():
        return
    over = ProductAccount.objects.filter(state=ProductAccount.State.LEAVING, delete_at__lte=clock.now())
    people = over.order_by("delete_at").values_list("profile_id", flat=True)[:MOST]
    reconcile.enqueue_many(dict.fromkeys(people), reason="kept long enough", importance=Job.Importance.SWEEP)
