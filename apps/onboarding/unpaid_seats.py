"""Seats that are reserved and not paid: how many there may be, and whose Checkout ends when somebody else needs the seat.

Promises: a reservation that money may still arrive for is never taken (Stripe closes its Checkout first, or says that it is
paid); reservations with a longer end (an invitation, a debit the bank has not answered) are not touched, but who has many such
debits gets no more while they hold the share. While few payments are
open, nobody loses a reservation before it is abandoned. In a rush the newest goes first, and first of all those whose network or
mail domain holds several: somebody who came before the attack keeps the seat.
"""

from collections import Counter

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from apps.accounts.models import Signup
from apps.catalog.models import Product
from apps.core import attention, clock, languages
from apps.core.errors import BadInput
from apps.instances import allocation, capacity
from apps.instances.models import Seat
from apps.onboarding import checkout_result

MAX_CLOSED = 5  # Checkouts that one request tries to end
SECOND_LEVEL = {"ac", "co", "com", "edu", "gov", "ne", "net", "or", "org"}  # as in example.co.uk


def refuse_crowds(signup: Signup) -> None:
    """BadInput while too many payments are open from this signup's network, or with its mail domain."""
    crowd = _crowd_of(signup, Signup.objects.filter(checkout_expires_at__gt=clock.now()))
    if crowd is None:
        return
    told = _("Many payments are open from your network right now. Please try again in half an hour.")
    if crowd:
        told = _("Many payments are open from addresses at {domain} right now. Please try again in half an hour.")
    raise BadInput(told.format(domain=crowd), code="too_many", status=429)


def refuse_debits(product: Product, *, signup: Signup) -> None:
    """BadInput for a network or mail domain with many debits that no bank has answered, while such debits hold the share of the product.

    An invented account number costs nothing, and the bank takes days to say so. While there is room, nobody is refused: a
    network may be that of thousands of people.
    """
    waiting = Signup.objects.filter(state=Signup.State.CHECKOUT, checkout_expires_at__lte=clock.now())
    seats = Seat.objects.filter(product=product, profile__in=waiting.values("profile"))
    held = seats.exclude(state=Seat.State.RELEASED).count()
    if not held or held < _share_of(product, held):
        return
    crowd = _crowd_of(signup, waiting)
    if crowd is None:
        return
    told = _(
        "Several payments from your network still wait for the bank, and there is little room left. Please try again in a few"
        " days, or write to us."
    )
    if crowd:
        told = _(
            "Several payments from addresses at {domain} still wait for the bank, and there is little room left. Please try again in"
            " a few days, or write to us."
        )
    raise BadInput(told.format(domain=crowd), code="too_many", status=429)


def _crowd_of(signup: Signup, among: QuerySet[Signup]) -> str | None:
    """Whose unfinished payments are as many as there may be: empty for the signup's network, or its mail domain; None for neither."""
    others = among.filter(state=Signup.State.CHECKOUT).exclude(pk=signup.pk)
    if signup.network and others.filter(network=signup.network).count() >= settings.SEATS_UNPAID_PER_NETWORK:
        return ""
    domain = mail_domain(signup.email)
    if domain in settings.MAILBOX_PROVIDERS:
        return None
    same_domain = Q(email__iendswith=f"@{domain}") | Q(email__iendswith=f".{domain}")
    crowded = others.filter(same_domain).count() >= settings.SEATS_UNPAID_PER_DOMAIN
    return domain if crowded else None


def mail_domain(address: str) -> str:
    """The domain that somebody bought: subdomains cost nothing."""
    labels = address.rpartition("@")[2].lower().strip(".").split(".")
    deep = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in SECOND_LEVEL
    return ".".join(labels[-3 if deep else -2 :])


def is_share_used(product: Product, *, signup: Signup) -> bool:
    """Whether, in a rush, unpaid reservations hold as many seats of the product as they may."""
    if not _is_rush(signup):
        return False
    held = capacity.unpaid_reservations().filter(product=product).count()
    return held >= _share_of(product, held)


def _share_of(product: Product, held: int) -> int:
    """How many seats of the product may be held unpaid, when so many are."""
    free = capacity.free_seats([product.pk])[product.pk]
    return max(1, (free + held) * settings.SEATS_UNPAID_SHARE // 100)


def _is_rush(signup: Signup) -> bool:
    begun = Signup.objects.filter(checkout_expires_at__gt=capacity.end_when_abandoned()).exclude(pk=signup.pk)
    return begun[: settings.CHECKOUT_RUSH].count() >= settings.CHECKOUT_RUSH


def make_room(product: Product, *, signup: Signup) -> bool:
    """End one unpaid Checkout that holds a seat of the product; False when there is none that may be ended."""
    rush = _is_rush(signup)
    for seat in _rank_unpaid(product, signup, rush=rush)[:MAX_CLOSED]:
        if _end_reservation(seat):
            if rush:
                with languages.speaking(languages.DEFAULT):  # it is for staff
                    name = product.name
                told = (
                    f"Many unpaid payments hold seats of {name}. The newest of them are ended when others need a seat."
                )
                attention.report(attention.Cause.LIMIT_REACHED, f"seats:{product.slug}", told)
            return True
    return False


def _rank_unpaid(product: Product, signup: Signup, *, rush: bool) -> list[Seat]:
    """The seats whose Checkout may end now, the first to go first."""
    held = capacity.unpaid_reservations().filter(product=product).exclude(profile=signup.profile_id)
    seats = list(held.select_related("profile"))
    live = Signup.objects.filter(state=Signup.State.CHECKOUT, profile__in=[seat.profile_id for seat in seats])
    signups = {one.profile_id: one for one in live}
    networks = Counter(one.network for one in signups.values() if one.network)
    domains = Counter(mail_domain(seat.profile.email) for seat in seats)
    for provider in settings.MAILBOX_PROVIDERS:
        del domains[provider]

    def rank(seat: Seat) -> tuple[int, bool, int]:
        one = signups.get(seat.profile_id)
        crowd = max(networks[one.network] if one else 0, domains[mail_domain(seat.profile.email)], 1)
        return crowd, _is_abandoned(seat, one), seat.pk

    ranked = sorted(((rank(seat), seat) for seat in seats), key=lambda pair: pair[0], reverse=True)
    return [seat for (_, abandoned, _), seat in ranked if rush or abandoned]


def _is_abandoned(seat: Seat, signup: Signup | None) -> bool:
    ends = signup.checkout_expires_at if signup else None
    return (ends or (seat.reserved_until or clock.now()) - capacity.RESERVATION_MARGIN) < capacity.end_when_abandoned()


def _end_reservation(seat: Seat) -> bool:
    """Close the Checkout at Stripe, then give back what it reserved. False when it has been paid, or goes on elsewhere."""
    signup = Signup.objects.filter(profile=seat.profile_id, state=Signup.State.CHECKOUT).first()
    if signup is None:
        return allocation.release_reservation(seat, reason="somebody else needed the seat")
    return checkout_result.end_unpaid_checkout(signup)
