"""Every few minutes: accounts in products that have been kept long enough, and those whose reading is due."""

from django.db import transaction
from django.db.models import F, QuerySet

from apps.access import reconcile
from apps.access.models import AccessFreeze
from apps.accounts import legal_holds
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
    """The job. The reconciler deletes, not the sweep; and in incident mode nobody is asked to.

    Whose turn was longest ago comes first: what is not deleted, for whatever reason, keeps nobody else from it.
    """
    checks.check_due()
    if AccessFreeze.in_force(clock.now()).exists():
        return
    over = _over().order_by(F("tried_at").asc(nulls_first=True), "delete_at", "pk")[:MOST]
    found = dict(over.values_list("pk", "profile_id"))
    with transaction.atomic():
        reconcile.enqueue_many(
            dict.fromkeys(found.values()), reason="kept long enough", importance=Job.Importance.SWEEP
        )
        ProductAccount.objects.filter(pk__in=found).update(tried_at=clock.now())


def _over() -> QuerySet[ProductAccount]:
    """Accounts that could be deleted now: their instance takes orders, and no legal hold keeps the person's data."""
    return ProductAccount.objects.filter(
        state=ProductAccount.State.LEAVING, delete_at__lte=clock.now(), instance__provisioning__isnull=False
    ).exclude(profile__in=legal_holds.held_profiles())
