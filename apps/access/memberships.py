"""Several people under one subscription: how many it is for, ending a membership, and syncing those who are paid for.

Promises: each change of who is paid for holds the rows of the payer and of the member (accounts/people_locks.py), so that the last
free position is taken once; whenever billing has written a payer's subscriptions, or what they give has changed, the
memberships that no longer fit end (`sharing.find_surplus` is the rule), and all others are synced; nothing here writes access: the reconciler does.
"""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from apps.access import reconcile, sharing
from apps.accounts.erasers import ERASERS, PersonRows
from apps.accounts.models import Membership, UserProfile
from apps.accounts.people_locks import lock_people, lock_shared
from apps.billing import subscriptions
from apps.catalog.product_entitlements import entitlements_by_product
from apps.core import audit, clock, jobs, retention
from apps.core.audit_actions import AuditAction
from apps.core.dependencies import RESTORED
from apps.core.states import SubscriptionStatus
from apps.notifications.mail import notify
from apps.notifications.models import Notification

KIND = "sync_members"
End = Membership.End
TOLD_TO_PAYER = {End.LEFT, End.REDUCED, End.STAFF}


@dataclass(frozen=True)
class PeopleCount:
    """For how many `people` a subscription is, the payer included (0: none runs), and how many are members or invited."""

    people: int = 0
    members: int = 0
    invited: int = 0

    @property
    def used(self) -> int:
        """How many of them are taken, the payer included."""
        return 1 + self.members + self.invited

    @property
    def free(self) -> int:
        """How many more can be invited."""
        return max(0, self.people - self.used)

    @property
    def has_room(self) -> bool:
        """Whether somebody who is invited already can join."""
        return self.members + 1 < self.people


def register() -> None:
    """Make the job kind known."""
    jobs.register(KIND, sync_members, label="Sync who is paid for", needs=(RESTORED,))
    retention.register("unused_invitations", prune_unused, unused)
    ERASERS["shared subscriptions"] = PersonRows(rows_of, forget_person)


def open_people(payer_id: int) -> QuerySet[Membership]:
    """Those for whom somebody pays or whom they have invited, the first first; invitations that have run out are left out."""
    rows = Membership.objects.filter(payer=payer_id, ended_at=None)
    return rows.filter(Q(accepted_at__isnull=False) | ~Q(_has_run_out())).order_by("invited_at", "pk")


def _has_run_out() -> Q:
    since = clock.now() - dt.timedelta(days=settings.PEOPLE_INVITATION_DAYS)
    return Q(accepted_at=None, invited_at__lte=since)


def count_people(payer: UserProfile) -> PeopleCount:
    """How many the payer's subscription is for, and who uses it. Five queries."""
    states = subscriptions.read_subscriptions(payer.stripe_customer_id)
    joined = list(open_people(payer.pk).values_list("accepted_at", flat=True))
    members = sum(1 for one in joined if one)
    return PeopleCount(sharing.count_people(states, entitlements_by_product()), members, len(joined) - members)


def name_of(profile: UserProfile) -> str:
    """How others of the same subscription read somebody's name."""
    return profile.user.get_full_name() or profile.user.username


def find_payer(member: UserProfile) -> str:
    """The name of who pays for somebody now; empty for nobody. No query for those for whom nobody ever did."""
    if member.membership_id is None:
        return ""
    row = Membership.objects.select_related("payer__user").filter(member=member.pk, ended_at=None).first()
    return name_of(row.payer) if row else ""


# --- ending -----------------------------------------------------------------------------------------------------------


@transaction.atomic
def end(membership: Membership, how: Membership.End, *, actor: str, reason: str) -> bool:
    """End a membership or withdraw an invitation, and sync the member; False when it had ended already."""
    lock_people(membership.payer_id, membership.member_id)
    row = (
        Membership.objects.select_related("payer__user", "member__user").filter(pk=membership.pk, ended_at=None).first()
    )
    if row is None or (
        how == End.WITHDRAWN and row.accepted_at
    ):  # who has joined in this moment is no invitation any more
        return False
    _end(row, how, actor=actor, reason=reason)
    return True


def _end(row: Membership, how: Membership.End, *, actor: str, reason: str) -> None:
    """Both are locked."""
    row.ended_at, row.end = clock.now(), how
    if row.accepted_at is not None:
        row.products = shared_products(row.payer) or row.products
        row.paid_until = max(row.accepted_at, _find_paid_until(row.payer, row.ended_at))
    row.save(update_fields=["ended_at", "end", "products", "paid_until"])
    if row.member is not None:
        reconcile.enqueue(row.member, reason=f"membership {how}")
    record_for_both(row, AuditAction.MEMBERSHIP_ENDED, actor=actor, reason=reason, how=str(how))
    if row.member is not None and how in TOLD_TO_PAYER:
        notify(
            key=f"people_left:{row.pk}", template="people_left", to=row.payer.email, profile=row.payer,
            context={"first_name": row.payer.user.first_name, "member": name_of(row.member), "how": str(how)},
        )  # fmt: skip


def record_for_both(row: Membership, action: AuditAction, *, actor: str, reason: str = "", how: str = "") -> None:
    """One line for the payer and one for the member, in the order of their ids, as all lock them."""
    after = {"membership": row.pk} | ({"how": how} if how else {})
    for one in sorted((one for one in (row.payer, row.member) if one is not None), key=lambda one: one.pk):
        audit.record(subject=one.subject, action=action, actor=actor, reason=reason, after=after)


def _find_paid_until(payer: UserProfile, now: dt.datetime) -> dt.datetime:
    """Now; where the payer's subscriptions have all ended, when the last of them did."""
    states = subscriptions.read_subscriptions(payer.stripe_customer_id)
    running = [one for one in states if not SubscriptionStatus(one.status).ended]
    ends = [one.ended_at for one in states if one.ended_at]
    return now if running or not ends else min(now, max(ends))


def shared_products(payer: UserProfile) -> list[int]:
    """The ids of the products of the payer's running subscriptions that each of their people has."""
    catalog = entitlements_by_product()
    states = subscriptions.read_subscriptions(payer.stripe_customer_id)
    lines = [
        line
        for one in states
        if SubscriptionStatus(one.status).may_charge
        for line in sharing.shared_lines(one, catalog)
    ]
    return sorted({line.product_id for line in lines if line.product_id})


# --- syncing ----------------------------------------------------------------------------------------------------------


def sync_later(payer: UserProfile, *, reason: str) -> None:
    """What is known of this subscriber's money has changed: those for whom they pay are to be synced, if there are any."""
    if Membership.objects.filter(payer=payer.pk, ended_at=None).exists():
        # A job of its own: in the caller's transaction it would lock people in another order than everybody else.
        jobs.defer(KIND, payer.pk, reason=reason)


def sync_many_later(payer_ids: Collection[int], *, reason: str) -> None:
    """The same of many; those of them who pay for nobody are left out."""
    paying = Membership.objects.filter(payer__in=payer_ids, ended_at=None).values_list("payer", flat=True).distinct()
    jobs.defer_many(KIND, {str(one): f"{KIND}:{one}" for one in paying}, reason=reason)


@transaction.atomic
def sync_members(payer_id: str) -> None:
    """The job: end the newest memberships that no longer fit, and sync all others."""
    lock_shared(int(payer_id))
    payer = UserProfile.objects.get(pk=payer_id)
    people = list(open_people(payer.pk).select_related("payer__user", "member__user"))
    states = subscriptions.read_subscriptions(payer.stripe_customer_id)
    surplus = sharing.find_surplus(people, sharing.limit_people(states, entitlements_by_product()))
    for row in surplus:
        reason = "the subscription is for fewer people now"
        _end(row, End.REDUCED if row.accepted_at else End.WITHDRAWN, actor=audit.SYSTEM, reason=reason)
    members = [row.member_id for row in people if row.member_id and row not in surplus]
    reconcile.enqueue_many(members, reason="what is paid for them changed")


# --- forgetting -------------------------------------------------------------------------------------------------------


def unused(before: dt.datetime) -> QuerySet[Membership]:
    """Invitations withdrawn before then, or that had run out by then."""
    run_out = before - dt.timedelta(days=settings.PEOPLE_INVITATION_DAYS)
    over = Q(ended_at__lt=before) | Q(ended_at=None, invited_at__lt=run_out)
    return Membership.objects.filter(over, accepted_at=None)


def prune_unused(before: dt.datetime) -> int:
    """Delete them, and the emails with their links."""
    return _delete_unused(unused(before))


def _delete_unused(rows: QuerySet[Membership]) -> int:
    for number in list(rows.values_list("pk", flat=True)):
        Notification.objects.filter(key__startswith=f"people_invitation:{number}:").delete()
    return retention.delete_in_batches(rows)


def rows_of(profile: UserProfile) -> QuerySet[Membership]:
    """All that say for whom somebody pays, who pays for them, and who has invited their address."""
    return Membership.objects.filter(
        Q(payer=profile) | Q(member=profile) | Q(member=None, email__iexact=profile.email)
    ).order_by("pk")


def forget_person(profile: UserProfile) -> int:
    """End all of somebody who is erased: others have their room again, or nobody who pays. What was used stays without addresses."""
    rows = rows_of(profile)
    count = rows.count()
    for row in rows.filter(ended_at=None, accepted_at__isnull=False):
        end(row, End.ERASED, actor=audit.SYSTEM, reason="the personal data was erased")
    _delete_unused(rows.filter(accepted_at=None))
    for number in rows.values_list("pk", flat=True):  # emails to the others name the person
        about = Q(key__in=[f"people_joined:{number}", f"people_left:{number}"])
        Notification.objects.filter(about | Q(key__startswith=f"people_invitation:{number}:")).delete()
    rows.update(email="")
    return count
