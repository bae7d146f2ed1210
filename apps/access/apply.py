"""Applies a plan step by step. Every step is safe to repeat, and writes what it did to the timeline."""

from collections.abc import Callable
from typing import Any

from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import Group, User
from django.db import transaction

from apps.access import existing_accounts
from apps.access import plan as steps
from apps.access import plan_products as orders
from apps.access.plan import Step, is_loss
from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.core import attention, audit, clock, jobs
from apps.core.attention import Cause
from apps.core.audit_actions import AuditAction
from apps.core.errors import NeedsOperator, RetryLater
from apps.identity import account_details, user_profile
from apps.identity.keycloak import client
from apps.identity.passwords import request_password_email
from apps.identity.protocol import NewUser
from apps.instances import allocation
from apps.instances.models import ProductAccount, Seat
from apps.instances.provisioning import accounts
from apps.login import sessions

# What staff can do about an account that is refused.
CORRECT = "Correct the name, username or address on the subscriber's page; the account is then made automatically."
SYNC_OR_CORRECT = "Put that right, then sync the subscriber; or correct username and address on the subscriber's page, and a new account is made."


def apply(profile: UserProfile, plan: tuple[Step, ...], *, done: list[Step], before_loss: Callable[[], None]) -> None:
    """Apply the steps in order, adding each finished one to `done`, even if a later one fails.

    `before_loss` is called before each step that takes something, and may raise.

    A product without a free seat does not stop the rest; it raises NeedsOperator at the end. An account is made by the plan
    after the one that assigns seats: only that one knows its attributes and groups.
    """
    full: list[str] = []
    has_new_seat = False
    for step in plan:
        if is_loss(step):
            before_loss()
        if isinstance(step, steps.AssignSeat):
            if not _assign(profile, step.product):
                full.append(step.product)
                continue
            has_new_seat = True
        elif isinstance(step, steps.CreateAccount) and has_new_seat:
            return
        else:
            STEPS[type(step)](profile, step)
        done.append(step)
    if full and all(isinstance(step, steps.AssignSeat) for step in plan):
        # Nothing else is left to do: somebody has to make room for the paid app.
        raise NeedsOperator(
            f"No instance of {', '.join(full)} has room. The first free seat goes to the subscriber who has waited longest."
        )


def _create(profile: UserProfile, step: steps.CreateAccount) -> None:
    user = profile.user
    new = NewUser(
        username=user.username,
        email=profile.email,
        first_name=user.first_name,
        last_name=user.last_name,
        onboarding_id=str(profile.onboarding_id),
        attributes={**step.attributes, **account_details.language_of(profile)},
    )
    try:
        keycloak_id = client().create_user(new)
    except NeedsOperator as refusal:
        _report_refused(profile, refusal, advice=CORRECT)
        raise
    with transaction.atomic():
        profile.language_told_at = clock.now()
        profile.save(update_fields=["language_told_at"])
        _link(profile, keycloak_id)
        _record(profile, AuditAction.ACCOUNT_CREATED, after={"keycloak_id": keycloak_id} | dict(step.attributes))
        attention.resolve(Cause.ACCOUNT_REFUSED, str(profile.pk), why="The account exists.")
        request_password_email(profile, reason="account created")


def _link_proven(profile: UserProfile, step: steps.LinkAccount) -> None:
    account = client().get_user(step.account)
    if account is None:
        raise RetryLater(f"Account {step.account} has just been deleted in Keycloak.")
    try:
        existing_accounts.refuse_obstructed(account, profile)
        existing_accounts.mark_as_ours(account, profile)
    except NeedsOperator as refusal:
        _report_refused(profile, refusal, advice=SYNC_OR_CORRECT)
        raise
    with transaction.atomic():
        _link(profile, account.id)
        found = {"keycloak_id": account.id, "groups": sorted(account.groups)}
        _record(profile, AuditAction.ACCOUNT_LINKED, after=found)
        attention.resolve(Cause.ACCOUNT_REFUSED, str(profile.pk), why="The account is linked.")


def _link(profile: UserProfile, keycloak_id: str) -> None:
    profile.keycloak_id, profile.proven_keycloak_id = keycloak_id, ""
    profile.save(update_fields=["keycloak_id", "proven_keycloak_id"])
    # Login finds the user by Keycloak's subject alone; this row is the link.
    SocialAccount.objects.bulk_create(
        [SocialAccount(provider="keycloak", uid=keycloak_id, user=profile.user)],
        update_conflicts=True,
        unique_fields=["provider", "uid"],
        update_fields=["user"],
    )


def adopt_unrecorded(profile: UserProfile) -> None:
    """Note the account that we have asked for and do not know of, because the answer was lost: it is there, and open."""
    keycloak_id = client().find_made(
        username=profile.user.username, email=profile.email, onboarding_id=str(profile.onboarding_id)
    )
    if keycloak_id:
        was_there = keycloak_id == profile.proven_keycloak_id
        action = AuditAction.ACCOUNT_LINKED if was_there else AuditAction.ACCOUNT_CREATED
        with transaction.atomic():
            _link(profile, keycloak_id)
            _record(profile, action, after={"keycloak_id": keycloak_id})


@transaction.atomic
def _report_refused(profile: UserProfile, refusal: NeedsOperator, *, advice: str) -> None:
    """Only staff can end this; and the realm's rules may have changed since the form applied them."""
    sentence = f"Subscriber {profile.pk} has no account yet. {refusal.reason} {advice}"
    attention.report(Cause.ACCOUNT_REFUSED, str(profile.pk), sentence, profiles=[profile.pk])
    jobs.defer(user_profile.KIND, "periodic", reason="Keycloak refused an account")


def _assign(profile: UserProfile, product: str) -> bool:
    wanted = _product(product)
    # Only subscribers who had a seat of this app before; an upgrade to another app waits like everyone else.
    had = Seat.objects.filter(profile=profile, product=wanted, state=Seat.State.RELEASED)
    seat = allocation.assign(profile=profile, product=wanted, returning=profile.synced_at is not None and had.exists())
    return seat is not None


def _retain(profile: UserProfile, step: steps.RetainSeat) -> None:
    allocation.retain(profile=profile, product=_product(step.product))


def _release(profile: UserProfile, step: steps.ReleaseSeat) -> None:
    allocation.release(profile=profile, product=_product(step.product))


def _product(slug: str) -> Product:
    return Product.objects.get(slug=slug)


def _update(profile: UserProfile, step: steps.UpdateAccount) -> None:
    client().update_user(_id(profile), enabled=step.enabled, attributes=step.attributes)
    if step.enabled is not None:
        action = AuditAction.ACCOUNT_ENABLED if step.enabled else AuditAction.ACCOUNT_DISABLED
        _record(profile, action, before={"enabled": not step.enabled}, after={"enabled": step.enabled})
        if step.enabled and not _can_log_in(profile):
            request_password_email(profile, reason="account opened for the first time")
    if step.attributes:
        _record(profile, AuditAction.ATTRIBUTES_WRITTEN, before=dict(step.was), after=dict(step.attributes))


def _can_log_in(profile: UserProfile) -> bool:
    """Whether the link to set a password was ever sent: not when the account was made, adopted and closed in between.

    Who had an account before us has its password.
    """
    if profile.user.last_login is not None:
        return True
    lines = audit.entries_about(profile.subject)
    told = lines.filter(action=AuditAction.PASSWORD_EMAIL_SENT)
    return told.exists() or existing_accounts.had_own_account(profile)


def _join(profile: UserProfile, step: steps.JoinGroup) -> None:
    client().join_group(_id(profile), step.group)
    _record(profile, AuditAction.GROUP_JOINED, after={"group": step.group})


def _leave(profile: UserProfile, step: steps.LeaveGroup) -> None:
    client().leave_group(_id(profile), step.group)
    _record(profile, AuditAction.GROUP_LEFT, before={"group": step.group})


def _local_groups(profile: UserProfile, step: steps.SetLocalGroups) -> None:
    wanted = Group.objects.filter(name__in=step.groups, instance__isnull=False)
    links = User.groups.through
    with transaction.atomic():
        links.objects.filter(user=profile.user_id, group__instance__isnull=False).exclude(group__in=wanted).delete()
        links.objects.bulk_create([links(user_id=profile.user_id, group=one) for one in wanted], ignore_conflicts=True)


def _end_sessions(profile: UserProfile, _step: Any) -> None:
    client().end_sessions(_id(profile))
    sessions.end_sessions(profile.user)
    _record(profile, AuditAction.SESSIONS_ENDED)


def _open_in_product(profile: UserProfile, step: orders.OpenInProduct | orders.SetQuota) -> None:
    state = ProductAccount.State.OPEN
    accounts.order(profile=profile, instance=step.instance, state=state, user_id=_id(profile), quota=step.quota)


def _order(state: ProductAccount.State) -> Callable[[UserProfile, Any], None]:
    def give(profile: UserProfile, step: orders.ProductStep) -> None:
        accounts.order(profile=profile, instance=step.instance, state=state, user_id=step.user_id)

    return give


def _id(profile: UserProfile) -> str:
    if not profile.keycloak_id:
        raise NeedsOperator(f"Subscriber {profile.pk} has no Keycloak account.")
    return profile.keycloak_id


def _record(profile: UserProfile, action: AuditAction, **detail: Any) -> None:
    audit.record(subject=profile.subject, action=action, **detail)


STEPS: dict[type, Callable[[UserProfile, Any], None]] = {
    steps.CreateAccount: _create,
    steps.LinkAccount: _link_proven,
    steps.RetainSeat: _retain,
    steps.ReleaseSeat: _release,
    steps.UpdateAccount: _update,
    steps.JoinGroup: _join,
    steps.LeaveGroup: _leave,
    steps.SetLocalGroups: _local_groups,
    steps.EndSessions: _end_sessions,
    orders.OpenInProduct: _open_in_product,
    orders.SetQuota: _open_in_product,
    orders.SuspendInProduct: _order(ProductAccount.State.SUSPENDED),
    orders.LeaveProduct: _order(ProductAccount.State.LEAVING),
    orders.DeleteInProduct: _order(ProductAccount.State.DELETED),
}
