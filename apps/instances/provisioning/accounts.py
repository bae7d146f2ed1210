"""The accounts that we keep in products: what each should be is written here, and a job makes it so and reads it back.

Promises:
1. What should be is written in the caller's transaction, with the job that applies it. The job reads it again when it runs, so
   that orders may come late, twice or in any order; one instance has one job at a time.
2. An instance that is down parks the jobs of its accounts and of nobody else's; nothing is lost or counted as a failure.
3. Each change is written to the person's timeline as it was read back, never as it was asked for.
4. Of an erased person only the account's id stays, for as long as products keep backups: one that is restored brings it back.
5. An account is deleted only where nothing has changed the order since, and nothing keeps the person's data at that moment: a
   legal hold, or one of KEEPERS, which do not count for somebody who is erased.

What a subscriber should have is not decided here: access/plan_products.py does.
"""

import datetime as dt
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from apps.accounts import legal_holds
from apps.accounts.erasers import NOBODY, is_erased
from apps.accounts.models import UserProfile
from apps.core import attention, audit, clock, jobs, retention
from apps.core.attention import Cause
from apps.core.audit_actions import AuditAction
from apps.core.dependencies import RESTORED
from apps.core.errors import RetryLater
from apps.core.models import Job
from apps.instances.models import Instance, ProductAccount, Provisioning, WebhookDelivery
from apps.instances.provisioning.connections import connect, dependency_of, label_of
from apps.instances.provisioning.contract import (
    AccountFound,
    AccountOrder,
    AccountOwner,
    ProductConnection,
    Provisioner,
    Receiver,
    is_right,
)
from apps.instances.provisioning.webhook import refusal_key

KIND = "sync_product_account"
State = ProductAccount.State
KEEPERS: list[Callable[[UserProfile], bool]] = []  # of apps above: whether nothing of this person may be deleted now


def register() -> None:
    """Make the job kind known, and how long accounts of erased people are remembered."""
    jobs.register(KIND, sync_account, label="Sync an account in a product", needs=_needs)
    retention.register(
        "erased_accounts", lambda before: retention.delete_in_batches(erased_before(before)), erased_before
    )


def _needs(key: str) -> tuple[str, ...]:
    """The instance of this account, unless it or the account is gone."""
    rows = ProductAccount.objects.filter(pk=key).values_list("instance_id", flat=True)
    return (RESTORED, *map(dependency_of, rows))


@transaction.atomic
def order(*, profile: UserProfile, instance: str, state: State, user_id: str = "", quota: int | None = None) -> None:
    """Say what the person's account on an instance should be from now on. `quota` counts for an open one alone.

    `user_id`: of the account; empty: the person's Keycloak id. Opening one lets one of another id leave: it is suspended, and kept
    for as long as one without a seat.
    """
    key = user_id or profile.keycloak_id or ""
    place = Instance.objects.select_related("provisioning").get(slug=instance)
    theirs = ProductAccount.objects.select_for_update().filter(profile=profile, instance=place).order_by("pk")
    rows = {row.user_id: row for row in theirs}
    account = rows.pop(key, None) or ProductAccount(profile=profile, instance=place, user_id=key)
    for former in rows.values() if state == State.OPEN else ():
        if former.state in (State.OPEN, State.SUSPENDED):
            _write(former, place, State.LEAVING)
    is_first = account.state != State.OPEN
    if state == State.OPEN:
        account.quota = quota
    waits = Job.Importance.PERSON_WAITS if state == State.OPEN and is_first else None
    _write(account, place, state, importance=waits)


def _write(account: ProductAccount, place: Instance, state: State, *, importance: Job.Importance | None = None) -> None:
    keep = dt.timedelta(days=place.provisioning.keep_days)
    account.state, account.synced_at, account.tried_at = state, None, None
    account.delete_at = clock.now() + keep if state == State.LEAVING else None
    account.save()
    sync_soon(account, reason=f"should be {State(state).in_words}", importance=importance)


def sync_soon(account: ProductAccount, *, reason: str, importance: Job.Importance | None = None) -> None:
    """Queue the job of this account. Part of the caller's transaction.

    One instance has one lane: however slow it is, its orders keep one worker from the others, not all.
    """
    sync_many_soon(account.instance_id, [account.pk], reason=reason, importance=importance)


def sync_many_soon(
    instance_id: int, ids: Collection[int], *, reason: str, importance: Job.Importance | None = None
) -> None:
    """The same for these accounts of one instance, in one statement."""
    lanes = {str(pk): lane_of(instance_id) for pk in ids}
    jobs.defer_many(KIND, lanes, reason=reason, importance=importance)


def lane_of(instance_id: int) -> str:
    """Of all orders of an instance."""
    return f"product:{instance_id}"


def _owner_of(account: ProductAccount) -> AccountOwner:
    user = account.profile.user
    return AccountOwner(account.user_id, user.get_full_name() or user.username, user.email.lower())


def order_of(account: ProductAccount, product: ProductConnection) -> AccountOrder:
    """What the account should be, in the product's terms."""
    quota = None if account.quota is None else product.quota_held(account.quota)
    return AccountOrder(account.state != State.DELETED, account.state == State.OPEN, quota, _owner_of(account).email)


def sync_account(key: str) -> None:
    """The job: make the account what it should be. RetryLater when what was written does not read back."""
    account = _find(key)
    if account is None or (connection := _connection_of(account)) is None:
        return
    product = connect(connection)
    if isinstance(product, Receiver):
        before, after = _as_noted(account), _tell(account, product)
    else:
        before = product.find(account.user_id)
        if is_right(order_of(account, product), before):
            note_right(account, before)
            return
        _apply(account, product, before)
        after = product.find(account.user_id)
    if not is_right(order_of(account, product), after):
        raise RetryLater(f"{label_of(connection.kind)} on {account.instance.slug} did not keep what was written.")
    with transaction.atomic():
        note_right(account, after)
        _record_change(account, before, after)


def _find(key: str) -> ProductAccount | None:
    return ProductAccount.objects.select_related("instance__provisioning", "profile__user").filter(pk=key).first()


def _connection_of(account: ProductAccount) -> Provisioning | None:
    return getattr(account.instance, "provisioning", None)


def _apply(account: ProductAccount, product: Provisioner, found: AccountFound | None) -> None:
    if account.state == State.OPEN:
        if found is not None and not found.enabled:
            product.resume(account.user_id)
        product.ensure(_owner_of(account), quota=account.quota, found=found)
        report_lost(account, found)
    elif account.state != State.DELETED:
        product.suspend(account.user_id)
    elif is_kept(account.profile):
        _put_off(account)
        product.suspend(account.user_id)
    elif is_still_to_go(account):
        product.deprovision(account.user_id)


def _tell(account: ProductAccount, product: Receiver) -> AccountFound | None:
    """The whole order, each time: who is told by messages may have lost the last one."""
    if account.state == State.DELETED and is_kept(account.profile):
        _put_off(account)
    elif account.state == State.DELETED and not is_still_to_go(account):
        raise RetryLater(f"Account {account.pk} is no longer to be deleted.")
    return product.tell(account.user_id, order_of(account, product))


def _as_noted(account: ProductAccount) -> AccountFound | None:
    """What was read of it last."""
    if not account.exists:
        return None
    return AccountFound(bool(account.enabled), account.quota_found, account.used)


def is_kept(profile: UserProfile) -> bool:
    """Whether the person's data must stay now. Asked again at the last moment, too."""
    if legal_holds.is_held(profile):
        return True
    return not is_erased(profile) and any(keeps(profile) for keeps in KEEPERS)


def _put_off(account: ProductAccount) -> None:
    """Wait for its deletion again: the reconciler orders it once nothing keeps the data."""
    account.state, account.delete_at = State.LEAVING, clock.now()
    mine = ProductAccount.objects.filter(pk=account.pk, state=State.DELETED)
    mine.update(state=account.state, delete_at=account.delete_at, synced_at=None)


def is_still_to_go(account: ProductAccount) -> bool:
    """Asked again at the last moment: data that is deleted does not come back."""
    return ProductAccount.objects.filter(pk=account.pk, state=State.DELETED).exists()


@transaction.atomic
def note_right(account: ProductAccount, found: AccountFound | None) -> None:
    """Keep what was read of an account that is as it should be. Of an erased person's nothing else stays, and the receipt is told once."""
    mine = ProductAccount.objects.filter(pk=account.pk, state=account.state, quota=account.quota)
    is_gone = account.state == State.DELETED and is_erased(account.profile)
    if is_gone:
        WebhookDelivery.objects.filter(account=account.pk).delete()
    if is_gone and mine.filter(synced_at=None).exists():
        audit.record(subject=("product_account", account.pk), action=AuditAction.ERASED_IN_PRODUCT)
    note_found(account, found)
    mine.update(synced_at=clock.now())


def note_found(account: ProductAccount, found: AccountFound | None) -> None:
    """Keep what was read of an account, unless something else was ordered since: then its job reads it again, or has done so."""
    ProductAccount.objects.filter(pk=account.pk, state=account.state, quota=account.quota).update(
        exists=found is not None,
        enabled=found.enabled if found else None,
        quota_found=found.quota if found else None,
        used=found.used if found else None,
        read_at=clock.now(),
    )


def as_values(found: AccountFound | None) -> dict[str, Any]:
    """What the timeline says of an account."""
    return {"exists": True, "enabled": found.enabled, "quota": found.quota} if found else {"exists": False}


def _record_change(account: ProductAccount, before: AccountFound | None, after: AccountFound | None) -> None:
    if _without_use(before) == _without_use(after) or is_erased(account.profile):
        return
    where = {"instance": account.instance.slug}
    audit.record(
        subject=account.profile.subject, action=AuditAction.PRODUCT_ACCOUNT_CHANGED,
        before=where | as_values(before), after=where | as_values(after),
    )  # fmt: skip


def _without_use(found: AccountFound | None) -> AccountFound | None:
    return replace(found, used=None) if found else None


def report_lost(account: ProductAccount, found: AccountFound | None) -> None:
    """Tell staff of one that was there, should still be there, and is gone: an empty one is made."""
    if found is not None or not account.exists or account.state == State.DELETED:
        return
    attention.report(
        Cause.PRODUCT_ACCOUNT_LOST, str(account.pk),
        f"The account of subscriber {account.profile_id} was gone from {account.instance.slug}, where somebody else deleted it. If"
        " it should be open, an empty one is made with the same id. Bring its data back from a backup of the product, then close this.",
        profiles=[account.profile_id],
    )  # fmt: skip


# --- erasing a person --------------------------------------------------------------------------------------------------


def accounts_of(profile: UserProfile) -> Any:
    """The person's accounts in products."""
    return ProductAccount.objects.filter(profile=profile)


def is_changed(profile: UserProfile) -> bool:
    """Whether one of them was made or changed by us, or is about to be."""
    lines = audit.entries_about(profile.subject)
    changed = lines.filter(action=AuditAction.PRODUCT_ACCOUNT_CHANGED)
    return accounts_of(profile).filter(synced_at=None).exists() or changed.exists()


def list_places(profile: UserProfile) -> dict[str, str]:
    """Where they are and take orders, by their ids: what a receipt of erasing names."""
    rows = accounts_of(profile).filter(instance__provisioning__isnull=False).select_related("instance__provisioning")
    return {str(row.pk): f"{label_of(row.instance.provisioning.kind)}, {row.instance.slug}" for row in rows}


@transaction.atomic
def forget_person(profile: UserProfile) -> int:
    """Have all their accounts deleted, and remember only their ids (`erased_accounts` of the retention table). Returns how many.

    Where the product takes no orders, the row goes at once: nobody would ever do it.
    """
    there = accounts_of(profile).select_for_update(of=("self",)).select_related("instance__provisioning")
    rows = list(there)
    attention.resolve(Cause.PRODUCT_ACCOUNT_LOST, *(str(row.pk) for row in rows), why="The person was erased.")
    refused = [refusal_key(row.instance.slug, row.pk) for row in rows]
    attention.resolve(Cause.WEBHOOK_REFUSED, *refused, why="The person was erased.")
    for row in rows:
        if _connection_of(row) is None:
            row.delete()
            continue
        row.state, row.delete_at, row.synced_at, row.quota = State.DELETED, None, None, None
        row.save(update_fields=["state", "delete_at", "synced_at", "quota"])
        sync_soon(row, reason="the person is erased")
    return len(rows)


def erased_before(moment: dt.datetime) -> QuerySet[ProductAccount]:
    """The accounts of erased people of which a product last said before then that they are gone."""
    return ProductAccount.objects.filter(state=State.DELETED, synced_at__lt=moment, profile__email__endswith=NOBODY)
