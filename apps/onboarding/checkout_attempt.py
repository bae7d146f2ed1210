"""One attempt to pay for a signup: its number, its end and its Checkout session. Signing up and recovery share it.

Promises: an attempt has an idempotency key of its own; a session that another attempt replaced is closed before anybody sees
it, so at most one session per signup can be paid.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from apps.accounts.models import Signup, UserProfile
from apps.billing import checkout
from apps.billing.prices import refresh_price
from apps.billing.stripe_client import SpentIdempotencyKey
from apps.catalog.models import ProductPrice
from apps.core.errors import BadInput, NeedsOperator


class AttemptReplaced(Exception):
    """Another request has started a newer attempt of the same signup."""


class PriceChanged(BadInput):
    """What was shown is not what would be charged. `order`: what would be, for scripts."""

    def __init__(self, order: dict[str, Any] | None = None) -> None:
        message = _("The price or your choice has just changed. Please check your order, then continue.")
        super().__init__(message, code="order_changed", status=409, details={"order": order} if order else {})


def trial_days_of(profile: UserProfile | None) -> int:
    """For how many days a subscription is free at first: who has had an account here before has tried it."""
    return 0 if profile is not None and profile.is_customer else settings.STRIPE_TRIAL_DAYS


def number_attempt(signup: Signup) -> None:
    """Start a new attempt: the number is part of its idempotency key."""
    signup.checkout_number += 1
    signup.checkout_expires_at = checkout.session_expiry()


def save_attempt(signup: Signup, *, conflict: Callable[[IntegrityError], BadInput]) -> None:
    """Store the attempt, without a session yet; what `conflict` says is raised when another live signup is in the way."""
    signup.checkout_session_id = None
    signup.state = Signup.State.CHECKOUT
    try:
        with transaction.atomic():
            signup.save()
    except IntegrityError as error:
        raise conflict(error) from error


def open_session(
    signup: Signup, profile: UserProfile, *, prices: list[tuple[ProductPrice, int]], pages: checkout.CheckoutPages
) -> checkout.CheckoutSession:
    """Open the attempt's session at Stripe and store its id; AttemptReplaced when a newer attempt was faster.

    When Stripe would charge another sum than we show, nothing can be paid: our prices are fetched again and PriceChanged is
    raised, or NeedsOperator if they still differ.
    """
    pages = replace(pages, trial_days=trial_days_of(profile))
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
    if not (pages.trial_days and session.subtotal == 0) and not _charges_what_was_shown(session, prices):
        checkout.expire_session(session.id)
        Signup.objects.filter(pk=signup.pk).update(checkout_digest="")
        _correct_prices(session, prices)
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


def _correct_prices(session: checkout.CheckoutSession, prices: list[tuple[ProductPrice, int]]) -> None:
    """Fetch our prices again. NeedsOperator when Stripe would still charge something else: a page could only promise wrongly."""
    for price, _quantity in prices:
        refresh_price(price.stripe_price_id)
    fresh = ProductPrice.objects.in_bulk([price.pk for price, _ in prices])
    if any(not fresh[price.pk].is_active for price, _ in prices):
        return  # withdrawn: the next order is another one
    shown = [(fresh[price.pk], quantity) for price, quantity in prices]
    if not _charges_what_was_shown(session, shown):
        ids = ", ".join(price.stripe_price_id for price, _ in prices)
        raise NeedsOperator(
            f"Stripe would charge {session.subtotal} {session.currency} for {ids}, and we show another sum. Check these prices,"
            " their further currencies and adaptive pricing at Stripe.",
            told=_(
                "Our payment partner would charge you another amount than we show, so we've stopped. You haven't been charged,"
                " and we've been told about it."
            ),
        )


def _store_session(signup: Signup, session: checkout.CheckoutSession) -> bool:
    """Store the attempt's session; False when a newer attempt has started."""
    same = Signup.objects.filter(pk=signup.pk, state=Signup.State.CHECKOUT, checkout_number=signup.checkout_number)
    signup.checkout_session_id = session.id
    return bool(same.update(checkout_session_id=session.id))
