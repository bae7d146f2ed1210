"""Inviting people to a subscription that is for several, and joining it. The pages are in dashboard and storefront.

Promises: inviting says the same whether or not an address is known; a link is signed for its invitation and works until it is
used, withdrawn, sent again, or has run out; the last free position is taken once; who joins has an account of their own, whose
access the reconciler decides like everybody's.
"""

import datetime as dt
from enum import Enum, auto

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext as _

from apps.access import memberships, reconcile
from apps.accounts.models import Membership, Signup, UserProfile
from apps.accounts.people_locks import lock_people
from apps.core import audit, clock, limits
from apps.core.audit_actions import AuditAction
from apps.core.dates import day
from apps.core.errors import BadInput
from apps.identity import user_profile
from apps.notifications.mail import notify
from apps.onboarding import names, signup_checkout

SALT = "people-invitation"
End = Membership.End


class InvitationLink(Enum):
    """What has become of an invitation's link."""

    OPEN = auto()
    JOINED = auto()
    OVER = auto()  # withdrawn, run out, or replaced by a newer email
    FORGED = auto()  # not made by us, or cut off


class PlanFull(BadInput):
    """The subscription is for no more people."""

    def __init__(self) -> None:
        super().__init__(_("This plan has no room for more people."), code="full", status=409)


@transaction.atomic
def invite(payer: UserProfile, *, email: str) -> Membership:
    """Invite an address; once more, the email is sent again and its former link ends.

    BadInput for a malformed address, one's own, one of the people already, too many, or a full plan.
    """
    address = names.email(email, rules=user_profile.current_rules())
    if address.lower() == payer.email.lower():
        raise BadInput(_("That's your own address. You're one of the people already."), field="email")
    lock_people(payer.pk)
    _end_run_out(payer)
    row = Membership.objects.filter(payer=payer, email__iexact=address, ended_at=None).first()
    if row is not None and row.accepted_at is not None:
        raise BadInput(_("This person has joined already."), field="email", status=409)
    if row is None and not memberships.count_people(payer).free:
        raise PlanFull
    mailbox = limits.mailbox(address)
    if not limits.allow(
        people_invitations=str(payer.pk), people_invitation=f"{payer.pk} {mailbox}", mails_mailbox=mailbox
    ):
        raise BadInput(
            _("You've sent many invitations today. Please try again tomorrow."),
            field="email",
            code="too_many",
            status=429,
        )
    limits.allow_together("mails_all")
    now = clock.now()
    if row is None:
        row = Membership.objects.create(payer=payer, email=address, invited_at=now)
    else:
        Membership.objects.filter(pk=row.pk).update(invited_at=now)
        row.invited_at = now
    audit.record(
        subject=payer.subject, action=AuditAction.MEMBER_INVITED, actor=audit.CUSTOMER, after={"membership": row.pk}
    )
    notify(
        key=f"people_invitation:{row.pk}:{int(now.timestamp())}", template="people_invitation", to=address,
        context={"payer": memberships.name_of(payer), "invite_url": invitation_link(row), "until": _day(ends_at(row))},
    )  # fmt: skip
    return row


def _end_run_out(payer: UserProfile) -> None:
    """Invitations whose time has passed make room for others."""
    shown = memberships.open_people(payer.pk).values("pk")
    for row in Membership.objects.filter(payer=payer, ended_at=None, accepted_at=None).exclude(pk__in=shown):
        memberships.end(row, End.EXPIRED, actor=audit.SYSTEM, reason="the invitation has run out")


def ends_at(row: Membership) -> dt.datetime:
    """Until when an invitation can be used."""
    return row.invited_at + dt.timedelta(days=settings.PEOPLE_INVITATION_DAYS)


def _day(moment: dt.datetime) -> str:
    return day(moment.astimezone(dt.UTC))


# --- the link ---------------------------------------------------------------------------------------------------------


def invitation_link(row: Membership) -> str:
    """The address of the page on which the invitation is accepted."""
    token = signing.Signer(salt=SALT).sign(f"{row.pk}.{int(row.invited_at.timestamp())}")
    return f"{settings.BASE_URL}{reverse('onboarding-join', args=[token])}"


def read_link(token: str) -> tuple[InvitationLink, Membership | None]:
    """What has become of a link, and its invitation."""
    try:
        number, _, sent = signing.Signer(salt=SALT).unsign(token).partition(".")
        found = Membership.objects.select_related("payer__user", "member").filter(pk=int(number)).first()
    except (signing.BadSignature, ValueError):
        return InvitationLink.FORGED, None
    if found is None or found.ended_at is not None or int(found.invited_at.timestamp()) != int(sent):
        return InvitationLink.OVER, None
    if found.accepted_at is not None:
        return InvitationLink.JOINED, found
    return (InvitationLink.OPEN if clock.now() < ends_at(found) else InvitationLink.OVER), found


# --- joining ----------------------------------------------------------------------------------------------------------


@transaction.atomic
def join(row: Membership, member: UserProfile, *, terms_version: str) -> Membership:
    """Make somebody who has an account the member of an open invitation. BadInput says why not."""
    lock_people(row.payer_id, member.pk)
    return _join(row.pk, member, terms_version)


def _join(membership_id: int, member: UserProfile, terms_version: str) -> Membership:
    """The payer and the member are locked, so nobody else takes the last free position meanwhile."""
    row = (
        Membership.objects.select_related("payer__user")
        .filter(pk=membership_id, ended_at=None, accepted_at=None)
        .first()
    )
    if row is None:
        raise BadInput(_("This invitation has been used or withdrawn."), code="over", status=409)
    if row.payer_id == member.pk:
        raise BadInput(_("This is your own subscription. Send the link to the person you've invited."), status=409)
    if Membership.objects.filter(member=member, ended_at=None).exists():
        raise BadInput(
            _("Somebody else pays for you already. Leave that subscription first."), code="member", status=409
        )
    if not memberships.count_people(row.payer).has_room:
        raise PlanFull
    row.member, row.accepted_at, row.terms_version = member, clock.now(), terms_version
    row.products = memberships.shared_products(row.payer)
    row.save(update_fields=["member", "accepted_at", "terms_version", "products"])
    member.membership = row
    member.save(update_fields=["membership"])
    reconcile.enqueue(member, reason="joined a subscription")
    memberships.record_for_both(row, AuditAction.MEMBER_JOINED, actor=audit.CUSTOMER)
    notify(
        key=f"people_joined:{row.pk}", template="people_joined", to=row.payer.email, profile=row.payer,
        context={"first_name": row.payer.user.first_name, "member": memberships.name_of(member)},
    )  # fmt: skip
    return row


def join_as_new(row: Membership, signup: Signup) -> UserProfile:
    """Make an account for the invited address, and join. `signup`: what was typed, unsaved. BadInput says why not."""
    live = Signup.objects.filter(state=Signup.State.CHECKOUT)
    if live.filter(username__iexact=signup.username).exists():
        raise signup_checkout.NameTaken("username")
    if live.filter(email__iexact=signup.email).exists():
        raise BadInput(_("A payment with your address is open. Finish it, or wait until it has ended."), status=409)
    if not signup.keycloak_id:  # an account that is there has just been read
        signup_checkout.refuse_taken_in_keycloak(signup)
    with transaction.atomic():
        known = UserProfile.objects.filter(email__iexact=signup.email).values_list("pk", flat=True).first()
        lock_people(row.payer_id, known)
        member = signup_checkout.find_or_create_profile(signup)
        _join(row.pk, member, signup.terms_version)
    return member
