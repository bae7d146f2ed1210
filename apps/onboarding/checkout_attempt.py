"""One attempt to pay for a signup: its number, its end and its Checkout session. Signing up and recovery share it.

Promises: an attempt has an idempotency key of its own; a session that another attempt replaced is closed before anybody sees
it, so at most one session per signup can be paid.
"""

from django.db import IntegrityError, transaction

from apps.accounts.models import Signup, UserProfile
from apps.billing import checkout
from apps.billing.prices import refresh_price
from apps.billing.stripe_client import SpentIdempotencyKey
from apps.catalog.models import ProductPrice
from apps.core.errors import BadInput, NeedsOperator


class AttemptReplaced(Exception):
    """Another request has started a newer attempt of the same signup."""


class PriceChanged(Exception):
    """What was shown is not what would be charged."""


def number_attempt(signup: Signup) -> None:
    """Start a new attempt: the number is part of its idempotency key."""
    signup.checkout_number += 1
    signup.checkout_expires_at = checkout.session_expiry()


def save_attempt(signup: Signup, *, conflict: BadInput) -> None:
    """Store the attempt, without a session yet; `conflict` is raised when another live signup is in the way."""
    signup.checkout_session_id = None
    signup.state = Signup.State.CHECKOUT
    try:
        with transaction.atomic():
            signup.save()
    except IntegrityError as error:
        raise conflict from error


def open_session(
    signup: Signup, profile: UserProfile, *, prices: list[tuple[ProductPrice, int]], pages: checkout.CheckoutPages
) -> checkout.CheckoutSession:
    """Open the attempt's session at Stripe and store its id; AttemptReplaced when a newer attempt was faster.

    PriceChanged when Stripe would charge another sum than we show: nothing can be paid then, and our prices are fetched again.
    """
    try:
        session = checkout.open_session(
            signup_id=str(signup.pk),
            number=signup.checkout_number,
            customer_id=profile.stripe_customer_id or "",
            prices=[(price.stripe_price_id, quantity) for price, quantity in prices],
            expires_at=signup.checkout_expires_at or checkout.session_expiry(),
            pages=pages,
        )
    except (SpentIdempotencyKey, NeedsOperator):
        # Stripe replays a stored 500 to the same key for a day; without a digest the next try gets a new key.
        Signup.objects.filter(pk=signup.pk).update(checkout_digest="")
        raise
    if not _charges_what_was_shown(session, prices):
        checkout.expire_session(session.id)
        Signup.objects.filter(pk=signup.pk).update(checkout_digest="")
        for price, _ in prices:
            refresh_price(price.stripe_price_id)
        raise PriceChanged
    if not _store_session(signup, session):
        checkout.expire_session(session.id)
        raise AttemptReplaced
    return session


def _charges_what_was_shown(session: checkout.CheckoutSession, prices: list[tuple[ProductPrice, int]]) -> bool:
    """Whether Stripe would charge the sum of our prices: a page never promises another amount."""
    total = sum((price.unit_amount or 0) * quantity for price, quantity in prices)
    currencies = {price.currency for price, _ in prices}
    return session.subtotal in {None, total} and (not session.currency or currencies == {session.currency})


def _store_session(signup: Signup, session: checkout.CheckoutSession) -> bool:
    """Store the attempt's session; False when a newer attempt has started."""
    same = Signup.objects.filter(pk=signup.pk, state=Signup.State.CHECKOUT, checkout_number=signup.checkout_number)
    signup.checkout_session_id = session.id
    return bool(same.update(checkout_session_id=session.id))
