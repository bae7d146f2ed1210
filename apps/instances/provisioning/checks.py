"""Reads the accounts in products again and again: what each uses, and whether somebody has changed it there.

Promises: each account of an instance that answers is read every CHECK_EVERY; what is not as it should be is written to the person's
timeline and fixed by the job that also carries out orders; one account that cannot be read keeps no other from being read. An
address that refuses us is asked about one account each time, not about all.
"""

import datetime as dt
import time

import structlog
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from apps.core import audit, clock, jobs
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput, DependencyDown, NeedsOperator, WorkError
from apps.core.models import Job
from apps.instances.models import ProductAccount, Provisioning
from apps.instances.provisioning.accounts import as_values, note_found, note_right, order_of, report_lost, sync_soon
from apps.instances.provisioning.connections import connect, dependency_of, note_server
from apps.instances.provisioning.contract import (
    AccountFound,
    AddressRefused,
    NotTold,
    ProductConnection,
    Receiver,
    is_right,
)

log = structlog.get_logger(__name__)

KIND = "check_product_accounts"
CHECK_EVERY = dt.timedelta(hours=6)
SLICE, SECONDS = 500, 20  # of one job; its last question may take half a minute more


def register() -> None:
    """Make the job kind known."""
    jobs.register(
        KIND, check_instance, label="Check accounts in a product", needs=lambda key: (dependency_of(int(key)),),
        importance=Job.Importance.SWEEP,
    )  # fmt: skip


def check_due() -> None:
    """Queue a check of each instance that has accounts to read."""
    due = Provisioning.objects.filter(Exists(_due(OuterRef("instance_id")))).order_by("pk")
    for instance_id in due.values_list("instance_id", flat=True):
        jobs.defer(KIND, instance_id, reason="it is time")


def _due(instance_id: int | OuterRef) -> QuerySet[ProductAccount]:
    """Accounts that nobody has read for a while, longest first."""
    unread = Q(read_at=None) | Q(read_at__lte=clock.now() - CHECK_EVERY)
    live = ProductAccount.objects.filter(unread, instance=instance_id).exclude(state=ProductAccount.State.DELETED)
    return live.order_by(F("read_at").asc(nulls_first=True), "pk")


def check_instance(key: str) -> None:
    """The job: read the accounts of one instance that are due; a slice at a time, in some seconds.

    First it asks what it asked when the instance was connected, and fails with what is wrong there once the accounts are read.
    """
    connection = Provisioning.objects.select_related("instance").filter(instance=int(key)).first()
    if connection is None:
        return
    product, until = connect(connection), time.monotonic() + SECONDS
    problem = _find_problem(connection, product)
    due = list(_due(connection.instance_id)[:SLICE].values_list("pk", flat=True))
    for number, pk in enumerate(due, start=1):
        try:
            _check(product, pk)
        except AddressRefused as refused:  # staff know by then, and the others would be refused as well
            log.warning("product_refuses_questions", instance=connection.instance.slug, reason=refused.reason)
            _due(connection.instance_id).update(read_at=clock.now())
            break
        if time.monotonic() > until or number == SLICE:
            jobs.defer(KIND, key, reason="the next slice")
            break
    if problem:
        raise problem


def _find_problem(connection: Provisioning, product: ProductConnection) -> NeedsOperator | None:
    if isinstance(product, Receiver):  # it has no more to say than its answers
        return None
    try:
        server_id = product.check()
    except NeedsOperator as problem:
        return problem
    note_server(connection, server_id)
    return None


def _check(product: ProductConnection, pk: int) -> None:
    account = ProductAccount.objects.select_related("instance", "profile__user").filter(pk=pk).first()
    if account is None:
        return
    try:
        found = product.find(account.user_id)
    except (DependencyDown, AddressRefused):
        raise
    except WorkError as problem:
        if not isinstance(problem, NotTold):
            log.warning("product_account_unreadable", account=pk, reason=problem.reason)
        ProductAccount.objects.filter(pk=pk).update(read_at=clock.now())
        return
    _judge(account, product, found)


def check_now(account: ProductAccount, *, actor: str, reason: str) -> bool:
    """Read one account, and queue what differs. Whether nothing did. The errors of the provisioner; no transaction may be open."""
    connection = Provisioning.objects.select_related("instance").filter(instance=account.instance_id).first()
    if connection is None:
        raise BadInput(f"{account.instance} takes no orders, so nothing can be read there.")
    product = connect(connection)
    found = product.find(account.user_id)
    audit.record(
        subject=account.profile.subject, action=AuditAction.PRODUCT_ACCOUNT_CHECKED, actor=actor, reason=reason,
        after={"instance": account.instance.slug} | as_values(found),
    )  # fmt: skip
    return _judge(account, product, found)


def _judge(account: ProductAccount, product: ProductConnection, found: AccountFound | None) -> bool:
    report_lost(account, found)
    if is_right(order_of(account, product), found):
        note_right(account, found)
        return True
    with transaction.atomic():
        note_found(account, found)
        _fix_drift(account, found)
    return False


def _fix_drift(account: ProductAccount, found: AccountFound | None) -> None:
    """Unless an order has come meanwhile, whose job fixes it anyway: it was right once, so somebody has changed it there."""
    if account.synced_at is not None and unchanged(account).update(synced_at=None):
        audit.record(
            subject=account.profile.subject, action=AuditAction.PRODUCT_DRIFT_FOUND,
            before={"instance": account.instance.slug, "state": account.state, "quota": account.quota}, after=as_values(found),
        )  # fmt: skip
    sync_soon(account, reason="drift found", importance=Job.Importance.SWEEP)


def unchanged(account: ProductAccount) -> QuerySet[ProductAccount]:
    """The account, if nothing was ordered since it was read from our rows."""
    same = {name: getattr(account, name) for name in ("pk", "state", "quota", "synced_at")}
    return ProductAccount.objects.filter(**same)
