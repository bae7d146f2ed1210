"""The waitlist: one row per address and product, or per address for any product. Joining twice changes nothing."""

from django.db import IntegrityError, transaction

from apps.catalog.models import Product
from apps.core import clock, limits
from apps.core.errors import BadInput
from apps.storefront import names
from apps.storefront.models import WaitlistEntry


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
        raise BadInput("There is no such product.", field="product")
    allowed = [
        limits.spend("waitlist-visitor", client, limit=20, per=3600),
        limits.spend("waitlist-mailbox", limits.mailbox(address), limit=10, per=86400),
    ]
    if not all(allowed):
        raise BadInput("That were many entries. Please try again later.", code="too_many", status=429)
    try:
        with transaction.atomic():
            WaitlistEntry.objects.create(email=address, product=product, created_at=clock.now())
    except IntegrityError:  # already on it; the answer must not tell
        pass
    return address
