"""The waitlist: one row per address and product, or per address for any product. Joining twice changes nothing.

Promises: only a mailbox that was proven counts, by a link in a mail and a click on its page (scanners follow links); the
place is that of joining, however late it was confirmed; who leaves and comes back begins at the end; an answer never tells
whether an address was on the list. Links carry the entry's id under a signature of their own purpose.
"""

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from apps.catalog.models import Product
from apps.core import clock, limits
from apps.core.errors import BadInput
from apps.notifications.mail import notify
from apps.onboarding import invitations, names
from apps.onboarding.models import WaitlistEntry

State = WaitlistEntry.State
CONFIRM, LEAVE, INVITATION = "confirm", "leave", "invitation"  # what a link is for


def product_called(slug: str) -> Product | None:
    """The offered product of that slug; None for none."""
    offered = Product.objects.filter(is_active=True).exclude(placement=Product.Placement.HIDDEN)
    return offered.filter(slug=slug).first() if slug else None


def join(*, email: str, slug: str, client: str) -> str:
    """Put an address on the list of a product (empty slug: the general list); returns the address as kept.

    BadInput for a malformed address, an unknown product, or too many tries. Never tells whether it was there already.
    """
    address = names.email(email)
    product = product_called(slug)
    if slug and product is None:
        raise BadInput("That product doesn't exist.", field="product")
    allowed = [
        limits.spend("waitlist-visitor", client, limit=20, per=3600),
        limits.spend("waitlist-mailbox", limits.mailbox(address), limit=10, per=86400),
    ]
    if not all(allowed):
        raise BadInput("Too many tries. Please wait an hour and try again.", code="too_many", status=429)
    _enter(address, product)
    return address


@transaction.atomic
def _enter(address: str, product: Product | None) -> None:
    """The row, and the mail that asks to confirm it: at most one a day."""
    now = clock.now()
    places = WaitlistEntry.objects.filter(product=product, email__iexact=address)
    WaitlistEntry.objects.bulk_create(
        [WaitlistEntry(email=address, product=product, created_at=now)], ignore_conflicts=True
    )
    over = Q(state__in=[State.LEFT, State.SERVED]) | Q(state=State.INVITED, invited_until__lte=now)
    places.filter(over).update(
        state=State.WAITING, created_at=now, confirmed_at=None, invited_at=None, invited_until=None
    )
    entry = places.get()
    if entry.confirmed_at is None:
        notify(
            key=f"waitlist_confirm:{entry.pk}:{now:%Y-%m-%d}",
            template="waitlist_confirm",
            to=entry.email,
            context={"confirm_url": invitations.link(entry.pk, CONFIRM), "product": product.name if product else ""},
        )


def named(token: str, purpose: str) -> WaitlistEntry | None:
    """The entry a link is about; None when the link is forged, meant for something else, or its entry is gone."""
    identity = invitations.named_by(token, purpose)
    return WaitlistEntry.objects.select_related("product", "profile").filter(pk=identity).first() if identity else None


@transaction.atomic
def confirm(entry: WaitlistEntry) -> None:
    """The mailbox is proven; doing it again changes nothing. Whoever runs the list gets a note."""
    now = clock.now()
    waiting = WaitlistEntry.objects.filter(pk=entry.pk, state=State.WAITING, confirmed_at=None)
    if not waiting.update(confirmed_at=now):
        return
    if settings.MAILGUN_WAITLIST_ADDRESS:
        notify(
            key=f"waitlist_note:{entry.pk}:{int(entry.created_at.timestamp())}",
            template="waitlist_note",
            to=settings.MAILGUN_WAITLIST_ADDRESS,
            context={
                "email": entry.email,
                "product": entry.product.name if entry.product else "",
                "waiting": str(line(entry.product_id).count()),
            },
        )


def line(product_id: int | None) -> QuerySet[WaitlistEntry]:
    """Who waits for a product (None: the general list) with a proven mailbox, the longest first."""
    waiting = WaitlistEntry.objects.filter(product=product_id, state=State.WAITING, confirmed_at__isnull=False)
    return waiting.order_by("created_at", "pk")


def position(entry: WaitlistEntry) -> int:
    """The entry's place in its line; 1 is next."""
    before = Q(created_at__lt=entry.created_at) | Q(created_at=entry.created_at, pk__lt=entry.pk)
    return line(entry.product_id).filter(before).count() + 1


def leave(entry: WaitlistEntry) -> None:
    """Take the address off the list; a seat that was held for it is given back."""
    invitations.withdraw(entry.pk)
