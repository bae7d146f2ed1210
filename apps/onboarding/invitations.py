"""Invitations from the waitlist: the seat is held for the invited, by name, until a date; nobody else can take it.

The entries are the storefront's, which lies above: they are reached through Django's registry. An entry goes from waiting to
invited only together with its seats, in one transaction, so two members of staff cannot give the same seat away.
"""

import datetime as dt
import uuid
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core import signing
from django.db import transaction
from django.urls import reverse
from django.utils.formats import date_format

from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.core import audit, clock
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.instances import allocation
from apps.instances.models import Seat
from apps.notifications.mail import notify
from apps.onboarding.models import WaitlistEntry

SALT = "waitlist-"
WAITING, INVITED, SERVED, LEFT = "waiting", "invited", "served", "left"


def link(entry_id: uuid.UUID, purpose: str) -> str:
    """The address of an entry's page for one purpose ("confirm", "leave", "invitation"), signed for it."""
    token = signing.Signer(salt=SALT + purpose).sign(str(entry_id))
    return f"{settings.BASE_URL}{reverse(f'onboarding-waitlist-{purpose}', args=[token])}"


def named_by(token: str, purpose: str) -> uuid.UUID | None:
    """The entry that a link's token names; None when it is forged or meant for something else."""
    try:
        return uuid.UUID(signing.Signer(salt=SALT + purpose).unsign(token))
    except (signing.BadSignature, ValueError):
        return None


@transaction.atomic
def invite(entry_id: uuid.UUID, *, actor: str, reason: str) -> dt.datetime:
    """Hold the seats, mail the invitation; returns until when. An invitation that ran out may be given again.

    BadInput when the address was not confirmed, does not wait any more, or there is no room.
    """
    now = clock.now()
    entry = WaitlistEntry.objects.select_for_update(of=("self",)).select_related("product").get(pk=entry_id)
    again = entry.state == INVITED and entry.invited_until is not None and entry.invited_until <= now
    if entry.confirmed_at is None:
        raise BadInput("This address isn't confirmed yet.")
    if entry.state != WAITING and not again:
        raise BadInput("This entry is no longer waiting.")
    until = now + dt.timedelta(days=settings.WAITLIST_INVITATION_DAYS)
    if entry.product is not None:
        entry.profile = _profile_of(entry.email)
        _hold(entry.profile, entry.product, until)
    entry.state, entry.invited_at, entry.invited_until = INVITED, now, until
    entry.save(update_fields=["state", "invited_at", "invited_until", "profile"])
    audit.record(
        subject=("waitlist", str(entry.pk)), action=AuditAction.WAITLIST_INVITED, actor=actor, reason=reason,
        after={"product": entry.product.slug if entry.product else "", "until": until.isoformat()},
    )  # fmt: skip
    _write(entry, until)
    return until


def _profile_of(email: str) -> UserProfile:
    """The person of that address; a new one has no name yet, as after a signup that was given up."""
    found = UserProfile.objects.select_for_update().filter(email__iexact=email).first()
    if found is not None:
        return found
    onboarding_id = uuid.uuid4()
    user = User(username=f"unclaimed-{onboarding_id.hex}", email=email)
    user.set_unusable_password()
    user.save()
    return UserProfile.objects.create(user=user, email=email, onboarding_id=onboarding_id, created_at=clock.now())


def _hold(profile: UserProfile, product: Product, until: dt.datetime) -> None:
    apps_needed = Product.objects.filter(needs_instance=True)
    needed = apps_needed.filter(pk=product.pk) | apps_needed.filter(included_in=product)
    for app in needed.distinct().order_by("pk"):
        if allocation.reserve(profile=profile, product=app, until=until) is None:
            raise BadInput(f"{app.name} has no room. Make room first.")


def _write(entry: Any, until: dt.datetime) -> None:
    held = entry.product is not None
    notify(
        key=f"waitlist_invited:{entry.pk}:{int(until.timestamp())}",
        template="waitlist_invited",
        to=entry.email,
        context={
            "invite_url": link(entry.pk, "invitation"),
            "leave_url": link(entry.pk, "leave"),
            "product": entry.product.name if held else "",
            "until": f"{date_format(until.astimezone(dt.UTC), 'j F Y, H:i')} UTC" if held else "",
        },
    )


@transaction.atomic
def withdraw(entry_id: uuid.UUID) -> None:
    """The person leaves the list: a seat that was held by the invitation, and is not being paid for, goes back."""
    entry = WaitlistEntry.objects.select_for_update(of=("self",)).select_related("profile").get(pk=entry_id)
    if entry.state == LEFT:
        return
    invited, entry.state = entry.state == INVITED, LEFT
    entry.save(update_fields=["state"])
    profile = entry.profile
    if invited and profile is not None and not profile.signups.filter(state="checkout").exists():
        for seat in Seat.objects.filter(profile=profile, state=Seat.State.RESERVED).select_related("product"):
            allocation.release(profile=profile, product=seat.product)
    audit.record(subject=("waitlist", str(entry.pk)), action=AuditAction.WAITLIST_LEFT, actor=audit.CUSTOMER)


def standing(profile: UserProfile) -> dt.datetime | None:
    """Until when an invitation holds this person's seats, whatever becomes of a payment; None without one."""
    found = WaitlistEntry.objects.filter(profile=profile, state=INVITED, invited_until__gt=clock.now())
    until: dt.datetime | None = found.order_by("-invited_until").values_list("invited_until", flat=True).first()
    return until


def served(profile: UserProfile) -> None:
    """The person has paid: whatever the address was invited to is done."""
    WaitlistEntry.objects.filter(email__iexact=profile.email, state=INVITED).update(state=SERVED)
