"""The waitlist: one row per address and product, or per address for any product. Joining twice changes nothing.

Promises: only a confirmed address counts, and only a click on the linked page confirms it (mail scanners follow links); the
position is that of joining, however late it is confirmed; leaving and rejoining starts at the back; no answer tells whether an
address was on the list. An entry becomes invited in one transaction with its reserved seats, so no seat is given away twice.
An invitation has one sign-up at a time. Links carry the entry's id and when they were made, signed for one purpose. A link to
confirm ends after some days; one of an earlier round, before the address left and joined again or was invited again, does nothing.
"""

import datetime as dt
import uuid
from enum import Enum, auto
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core import signing
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils.translation import gettext as _

from apps.accounts.models import Signup, UserProfile
from apps.catalog.models import Product
from apps.core import audit, clock, languages, limits
from apps.core.audit_actions import AuditAction
from apps.core.dates import day_time
from apps.core.errors import BadInput
from apps.identity import user_profile
from apps.instances import allocation
from apps.instances.models import Seat
from apps.notifications.mail import notify
from apps.onboarding import codes, names
from apps.onboarding.models import WaitlistEntry

State = WaitlistEntry.State
IN_LINE = Q(state=State.WAITING, confirmed_at__isnull=False)
CONFIRM, LEAVE, INVITATION = "confirm", "leave", "invitation"  # what a link is for
SALT = "waitlist-"


def find_product(slug: str) -> Product | None:
    """The product on offer with that slug; None for none."""
    offered = Product.objects.filter(is_active=True).exclude(placement=Product.Placement.HIDDEN)
    return offered.filter(slug=slug).first() if slug else None


def join(*, email: str, slug: str, client: str) -> str:
    """Put an address on the list of a product (empty slug: the general list); returns the address as stored.

    BadInput for a malformed address, an unknown product, or too many tries.
    """
    address = names.email(email, rules=user_profile.current_rules())
    product = find_product(slug)
    if slug and product is None:
        raise BadInput(_("That product doesn't exist."), field="product")
    with transaction.atomic():
        _spend_limits(address, client, emailed=_add_entry(address, product))
    return address


def _spend_limits(address: str, client: str, *, emailed: bool) -> None:
    """BadInput beyond. Where no email leaves, none is counted, and the answer is the same."""
    mail = codes.mail_subjects(address=address, client=client)
    if emailed:
        allowed = limits.allow(waitlist_visitor=client, **mail)
    else:
        allowed = limits.would_allow(**mail) and limits.allow(waitlist_visitor=client)
    if not allowed:
        raise BadInput(_("Too many tries. Please wait an hour and try again."), code="too_many", status=429)
    if emailed:
        limits.allow_together("mails_all")


def _add_entry(address: str, product: Product | None) -> bool:
    """Add or restart the entry, and email the confirmation link at most once a day; returns whether one was emailed."""
    now = clock.now()
    entries = WaitlistEntry.objects.filter(product=product, email__iexact=address)
    WaitlistEntry.objects.bulk_create(
        [WaitlistEntry(email=address, product=product, language=languages.active(), created_at=now)],
        ignore_conflicts=True,
    )
    over = Q(state__in=[State.LEFT, State.SERVED]) | Q(state=State.INVITED, invited_until__lte=now)
    entries.filter(over).update(
        state=State.WAITING,
        language=languages.active(),
        created_at=now,
        confirmed_at=None,
        invited_at=None,
        invited_until=None,
    )
    entry = entries.get()
    if entry.confirmed_at is not None:
        return False
    return notify(
        key=f"waitlist_confirm:{entry.pk}:{now:%Y-%m-%d}",
        template="waitlist_confirm",
        to=entry.email,
        context={"confirm_url": entry_link(entry.pk, CONFIRM), "product": product.name if product else ""},
    )


def entry_link(entry_id: uuid.UUID, purpose: str) -> str:
    """The URL of an entry's page for one purpose, signed for it."""
    token = signing.Signer(salt=SALT + purpose).sign(f"{entry_id}.{int(clock.now().timestamp())}")
    return f"{settings.BASE_URL}{reverse(f'onboarding-waitlist-{purpose}', args=[token])}"


class Link(Enum):
    """What has become of a link."""

    VALID = auto()
    EXPIRED = auto()  # too old, of an earlier round, or its entry is gone
    FORGED = auto()  # not made by us for this purpose, or cut off


def read_link(token: str, purpose: str) -> tuple[Link, WaitlistEntry | None]:
    """What has become of a link, and the entry it is about, if there is one."""
    try:
        entry_id, _, made = signing.Signer(salt=SALT + purpose).unsign(token).partition(".")
        found = WaitlistEntry.objects.select_related("product", "profile").filter(pk=uuid.UUID(entry_id)).first()
    except (signing.BadSignature, ValueError):
        return Link.FORGED, None
    # A link of before this rule has no time: it still leaves the list, or opens the invitation while that lasts.
    valid = found is not None and _is_of_this_round(found, purpose, int(made or 0))
    return Link.VALID if valid else Link.EXPIRED, found


def _is_of_this_round(entry: WaitlistEntry, purpose: str, made: int) -> bool:
    if purpose == CONFIRM:
        end = made + dt.timedelta(days=settings.WAITLIST_CONFIRM_DAYS).total_seconds()
        return int(entry.created_at.timestamp()) <= made and clock.now().timestamp() < end
    return purpose == LEAVE or not made or entry.invited_at is None or int(entry.invited_at.timestamp()) <= made


@transaction.atomic
def confirm(entry: WaitlistEntry) -> None:
    """Confirm the address and tell the operator. Confirming again changes nothing."""
    now = clock.now()
    waiting = WaitlistEntry.objects.filter(pk=entry.pk, state=State.WAITING, confirmed_at=None)
    if not waiting.update(confirmed_at=now):
        return
    product = entry.product.slug if entry.product else ""
    audit.record(
        subject=("waitlist", str(entry.pk)), action=AuditAction.WAITLIST_CONFIRMED, actor=audit.CUSTOMER, after={"product": product}
    )  # fmt: skip
    if settings.MAILGUN_WAITLIST_ADDRESS:
        notify(
            key=f"waitlist_note:{entry.pk}:{int(entry.created_at.timestamp())}",
            template="waitlist_note",
            to=settings.MAILGUN_WAITLIST_ADDRESS,
            context={
                "email": entry.email,
                "product": entry.product.name if entry.product else "",
                "waiting": str(waiting_entries(entry.product_id).count()),
            },
        )


def in_line(entries: QuerySet[WaitlistEntry]) -> QuerySet[WaitlistEntry]:
    """Those of them who are in a line: waiting, with a confirmed address."""
    return entries.filter(IN_LINE)


def line_of(product: Any) -> QuerySet[Any]:
    """The line of a product (0: the general one), the longest waiting first, within a statement about several; by its index."""
    line: QuerySet[Any] = in_line(WaitlistEntry._default_manager.all()).annotate(line=Coalesce("product_id", 0))
    return line.filter(line=product).order_by("line", "created_at", "pk")


def waiting_entries(product_id: int | None) -> QuerySet[WaitlistEntry]:
    """The confirmed entries waiting for a product (None: the general list), the longest first."""
    return in_line(WaitlistEntry.objects.filter(product=product_id)).order_by("created_at", "pk")


def position(entry: WaitlistEntry) -> int:
    """The entry's position in its line; 1 is next."""
    before = Q(created_at__lt=entry.created_at) | Q(created_at=entry.created_at, pk__lt=entry.pk)
    return waiting_entries(entry.product_id).filter(before).count() + 1


@transaction.atomic
def invite(entry_id: uuid.UUID, *, actor: str, reason: str) -> dt.datetime:
    """Reserve the seats and email the invitation; returns until when it is valid. An expired one may be sent again.

    BadInput when the address is not confirmed, the entry is no longer waiting, or there is no room.
    """
    now = clock.now()
    entry = WaitlistEntry.objects.select_for_update(of=("self",)).select_related("product").get(pk=entry_id)
    expired = entry.state == State.INVITED and entry.invited_until is not None and entry.invited_until <= now
    if entry.confirmed_at is None:
        raise BadInput("This address isn't confirmed yet.")
    if entry.state != State.WAITING and not expired:
        raise BadInput("This entry is no longer waiting.")
    until = now + dt.timedelta(days=settings.WAITLIST_INVITATION_DAYS)
    if entry.product is not None:
        entry.profile = _find_or_create_profile(entry.email)
        _reserve_seats(entry.profile, entry.product, until)
    entry.state, entry.invited_at, entry.invited_until = State.INVITED, now, until
    entry.save(update_fields=["state", "invited_at", "invited_until", "profile"])
    audit.record(
        subject=("waitlist", str(entry.pk)), action=AuditAction.WAITLIST_INVITED, actor=actor, reason=reason,
        after={"product": entry.product.slug if entry.product else "", "until": until.isoformat()},
    )  # fmt: skip
    _send_invitation(entry, until)
    return until


def _find_or_create_profile(email: str) -> UserProfile:
    """The profile of that address; a new one has no username yet, like after an expired signup."""
    found = UserProfile.objects.select_for_update().filter(email__iexact=email).first()
    if found is not None:
        return found
    onboarding_id = uuid.uuid4()
    user = User(username=f"unclaimed-{onboarding_id.hex}", email=email)
    user.set_unusable_password()
    user.save()
    return UserProfile.objects.create(user=user, email=email, onboarding_id=onboarding_id, created_at=clock.now())


def _reserve_seats(profile: UserProfile, product: Product, until: dt.datetime) -> None:
    for app in Product.seats_of([product.pk]):
        if allocation.reserve(profile=profile, product=app, until=until) is None:
            raise BadInput(f"{app.name} has no room. Make room first.")


def _send_invitation(entry: WaitlistEntry, until: dt.datetime) -> None:
    product = entry.product
    with languages.speaking_to(entry.language):
        notify(
            key=f"waitlist_invited:{entry.pk}:{int(until.timestamp())}",
            template="waitlist_invited",
            to=entry.email,
            context={
                "invite_url": entry_link(entry.pk, INVITATION),
                "leave_url": entry_link(entry.pk, LEAVE),
                "product": product.name if product else "",
                "until": f"{day_time(until.astimezone(dt.UTC))} UTC" if product else "",
            },
        )


@transaction.atomic
def leave(entry_id: uuid.UUID) -> None:
    """Take the entry off the list; release the seats its invitation reserved, unless they are being paid for."""
    entry = WaitlistEntry.objects.select_for_update(of=("self",)).select_related("profile").get(pk=entry_id)
    if entry.state == State.LEFT:
        return
    invited, entry.state = entry.state == State.INVITED, State.LEFT
    entry.save(update_fields=["state"])
    if invited and not is_paying(entry.profile):
        release_held_seats(entry)
    audit.record(subject=("waitlist", str(entry.pk)), action=AuditAction.WAITLIST_LEFT, actor=audit.CUSTOMER)


def is_paying(profile: UserProfile | None) -> bool:
    """Whether a Checkout of theirs is open; until the end of the transaction none is opened."""
    if profile is None:
        return False
    list(UserProfile.objects.select_for_update().filter(pk=profile.pk))  # who opens one locks it too
    return profile.signups.filter(state=Signup.State.CHECKOUT).exists()


def release_held_seats(entry: WaitlistEntry) -> None:
    """Release the seats that the entry's invitation reserved, and no other of this subscriber's still does."""
    if entry.profile is None:
        return
    others = WaitlistEntry.objects.filter(profile=entry.profile, state=State.INVITED, invited_until__gt=clock.now())
    kept = Product.seats_of([one for one in others.exclude(pk=entry.pk).values_list("product_id", flat=True) if one])
    reserved = Seat.objects.filter(profile=entry.profile, state=Seat.State.RESERVED).exclude(product__in=kept)
    for seat in reserved.select_related("product").order_by("product_id"):
        allocation.release(profile=entry.profile, product=seat.product)


@transaction.atomic
def invited_signup(entry: WaitlistEntry) -> Signup:
    """The sign-up of an invited person: the one they have begun, in whichever browser, or a new one, saved.

    Two clicks at once wait for each other, so that one invitation never runs two wizards.
    """
    WaitlistEntry.objects.select_for_update(of=("self",)).get(pk=entry.pk)
    begun = Signup.objects.filter(
        profile=entry.profile, email__iexact=entry.email, email_proven_at__isnull=False, state__in=Signup.UNFINISHED
    )
    now = clock.now()
    return begun.order_by("-created_at").first() or Signup.objects.create(
        profile=entry.profile, email=entry.email, email_proven_at=now, created_at=now
    )


def invited_until(profile: UserProfile) -> dt.datetime | None:
    """Until when an invitation reserves this profile's seats, whether or not a payment succeeds; None without one."""
    invitations = WaitlistEntry.objects.filter(profile=profile, state=State.INVITED, invited_until__gt=clock.now())
    return invitations.order_by("-invited_until").values_list("invited_until", flat=True).first()


def mark_signed_up(profile: UserProfile) -> None:
    """The invited person has paid: close every invitation of this address."""
    invited = WaitlistEntry.objects.filter(email__iexact=profile.email, state=State.INVITED)
    for entry_id in list(invited.values_list("pk", flat=True)):
        if invited.filter(pk=entry_id).update(state=State.SERVED):
            audit.record(
                subject=("waitlist", str(entry_id)), action=AuditAction.WAITLIST_SIGNED_UP, actor=audit.CUSTOMER
            )
