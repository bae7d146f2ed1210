"""What the time between backup and restore knew of one person, found in Keycloak: put back where it is certain, else listed.

Certain is our own mark at an account (nobody else can write it), and the group of an instance: that is where a person's data
is. What only staff had decided, a hold or a grant, shows as a difference that billing does not explain; staff read it.
"""

import uuid
from collections.abc import Collection, Sequence

from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from apps.access import facts, observe, recording
from apps.access import plan as steps
from apps.access.plan import Observed, Step, diff
from apps.access.policy import Account, Decision, decide
from apps.accounts.models import UserProfile
from apps.billing import mirror
from apps.core import attention, audit, clock
from apps.core.attention import Cause
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.core.models import RestoreCheck
from apps.identity.keycloak import client
from apps.identity.protocol import KeycloakUser
from apps.instances import allocation
from apps.instances.models import Instance, Seat
from apps.operations import privacy

ACTOR = audit.SYSTEM
WHY = "Found in Keycloak after a restore."
# What a reconcile does by our own rows alone, and what follows from it.
OF_OURS = (steps.AssignSeat, steps.RetainSeat, steps.ReleaseSeat, steps.SetLocalGroups, steps.EndSessions)


def count(check: RestoreCheck, name: str, number: int = 1) -> None:
    """Add to what was seen and done; saved with the slice."""
    check.counts[name] = check.counts.get(name, 0) + number


def list_for_staff(kind: str, key: str | int, sentence: str, profile: UserProfile | None = None) -> None:
    """One attention item, once for each thing, however often the slice is repeated."""
    profiles = [profile.pk] if profile else []
    attention.report(Cause.RESTORED, f"{kind}:{key}", sentence, profiles=profiles)


def is_mark(text: str) -> bool:
    """Whether this can be the mark of one of our signups."""
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


# --- accounts that are nobody's here -----------------------------------------------------------------------------------


def list_accounts() -> frozenset[str]:
    """The ids of the accounts in our group."""
    return client().list_customers()


def read_accounts(ids: Collection[str]) -> list[KeycloakUser]:
    """These accounts, without their groups."""
    return list(client().get_users(ids).values())


def adopt(check: RestoreCheck, account: KeycloakUser) -> None:
    """Link the account to whom its mark names; make the row of somebody who pays; list every other."""
    mark = next(iter(account.attributes.get("onboarding_id", ())), "")
    if not is_mark(mark):
        return
    profile = UserProfile.objects.select_related("user").filter(onboarding_id=mark).first()
    customer = check.strangers.get(mark)
    if profile is not None and profile.keycloak_id is None:
        _link(profile, account)
        count(check, "accounts_linked")
    elif profile is not None:
        list_for_staff(
            "account", account.id,
            f"Keycloak's account {account.id} is marked as subscriber {profile.pk}, who has {profile.keycloak_id} here. Delete the"
            " one in Keycloak that the subscriber does not use, or fix the drift.",
            profile,
        )  # fmt: skip
    elif customer is not None and _make_subscriber(account, mark, customer):
        del check.strangers[mark]
        count(check, "subscribers_found")
    elif customer is None:
        list_for_staff(
            "account", account.id,
            f"Keycloak's account {account.id} signed up here (mark {mark}) in the lost time, and nobody pays for it. If they canceled"
            " or only had a grant, disable or delete it in Keycloak.",
        )  # fmt: skip


@transaction.atomic
def _link(profile: UserProfile, account: KeycloakUser) -> None:
    UserProfile.objects.filter(pk=profile.pk).update(keycloak_id=account.id)
    SocialAccount.objects.bulk_create(
        [SocialAccount(provider="keycloak", uid=account.id, user=profile.user)],
        update_conflicts=True,
        unique_fields=["provider", "uid"],
        update_fields=["user"],
    )
    audit.record(
        subject=profile.subject, action=AuditAction.SUBSCRIBER_FOUND, reason=WHY, after={"keycloak_id": account.id}
    )


def _make_subscriber(account: KeycloakUser, mark: str, customer: str) -> bool:
    """The row of somebody who signed up in the lost time; False, and listed, when name or address are taken here."""
    try:
        with transaction.atomic():
            user = User(
                username=account.username,
                email=account.email,
                first_name=account.first_name,
                last_name=account.last_name,
            )
            user.set_unusable_password()
            user.save()
            profile = UserProfile.objects.create(
                user=user,
                onboarding_id=mark,
                email=account.email,
                stripe_customer_id=customer,
                created_at=clock.now(),
            )
            _link(profile, account)
            mirror.mirror_later(customer, reason="found after a restore")
    except IntegrityError:
        list_for_staff(
            "account", account.id,
            f"Keycloak's account {account.id} pays as {customer} and has no subscriber here, because the username or address is somebody"
            " else's here. Find out who of the two is meant, and cancel or refund the other's subscription.",
        )  # fmt: skip
        return False
    return True


# --- people we know ----------------------------------------------------------------------------------------------------


def erase_again(check: RestoreCheck, profile: UserProfile) -> None:
    """Somebody who was erased since the backup: erased again, or listed while that is refused."""
    try:
        privacy.erase(profile, actor=ACTOR, reason="Erased before the restore; the backup had brought them back.")
        count(check, "erased_again")
    except BadInput as refusal:
        list_for_staff(
            "erase",
            profile.pk,
            f"Subscriber {profile.pk} was erased in the lost time. {refusal.message} Then `manage.py erase_person {profile.pk}`.",
            profile,
        )


def compare(check: RestoreCheck, profile: UserProfile) -> None:
    """One account against what billing says: move and assign seats to where Keycloak has them, list what else differs."""
    account, decision = observe.account_of(profile), decide(facts.read_facts(profile))
    count(check, "subscribers_compared")
    if account is None:
        list_for_staff(
            "gone", profile.pk,
            f"Subscriber {profile.pk}: the Keycloak account {profile.keycloak_id} is gone. If the person was erased in the lost time, erase"
            f" them again: `manage.py erase_person {profile.pk}`. If not, fix the drift on their page.",
            profile,
        )  # fmt: skip
        return
    _put_seats_back(check, profile, account, decision)
    seen = observe.observed(profile, account)
    if found := [step for step in diff(decision, seen) if not isinstance(step, OF_OURS)]:
        count(check, "subscribers_listed")
        list_for_staff("subscriber", profile.pk, _explain(profile, decision, seen, found), profile)
    else:
        recording.record_applied_before(profile, decision)


def _put_seats_back(check: RestoreCheck, profile: UserProfile, account: KeycloakUser, decision: Decision) -> None:
    """The group of an instance says where the data is."""
    if decision.account != Account.ENABLED:
        return
    by_product: dict[int, list[Instance]] = {}
    for instance in Instance.objects.filter(group__name__in=account.groups).select_related("product"):
        by_product.setdefault(instance.product_id, []).append(instance)
    for instances in by_product.values():
        instance = instances[0]
        if len(instances) == 1 and instance.product.slug in decision.entitlements.seats:
            _put_seat(check, profile, instance)


def _put_seat(check: RestoreCheck, profile: UserProfile, instance: Instance) -> None:
    live = Seat.objects.exclude(state=Seat.State.RELEASED).filter(profile=profile, product=instance.product)
    seat = live.first() or allocation.assign(profile=profile, product=instance.product, returning=True)
    if seat is None or seat.instance_id == instance.pk:
        return
    try:
        allocation.move(seat=seat, instance=instance, actor=ACTOR, reason=WHY)
        count(check, "seats_moved")
    except BadInput as refusal:
        list_for_staff(
            "seat", f"{profile.pk}:{instance.pk}",
            f"Subscriber {profile.pk} is on {instance.slug} by Keycloak, and here on {seat.instance.slug}. {refusal.message}",
            profile,
        )  # fmt: skip


def _explain(profile: UserProfile, decision: Decision, seen: Observed, found: Sequence[Step]) -> str:
    """What differs, what it may mean, and what finishing does about it."""
    enabled = bool(seen.account and seen.account.enabled)
    if not enabled and decision.account == Account.ENABLED:
        why = "Keycloak has the account disabled, and billing gives no reason: a hold of the lost time? If so, add the hold again."
    elif enabled and decision.account != Account.ENABLED:
        why = (
            "Keycloak has the account open, and billing gives no reason: a grant, a no-suspend or an opened recovery of the lost time? If"
            " so, add it again."
        )
    else:
        why = "Keycloak and billing disagree about what is included: a grant or terms of the lost time? If so, add it again."
    does = " ".join(step.sentence for step in found)
    return f"Subscriber {profile.pk}: {why} Otherwise finishing does this: {does}"
