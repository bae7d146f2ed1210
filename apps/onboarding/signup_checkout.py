"""From a filled-in wizard to a paid one: reserve the name and the seats, open Stripe's Checkout.

Promises: no one can pay for a full product or under someone else's username; a reload finds the same session; a
crash at any point leaves only reservations that expire automatically (checkout_result.py).
"""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from apps.accounts.models import Signup, UserProfile
from apps.billing import checkout, checkout_features, customers
from apps.catalog.models import Product, ProductPrice
from apps.core import audit, clock, languages
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput, DependencyDown, RetryLater
from apps.core.locks import LockClass, lock_until_commit
from apps.core.states import AccessState
from apps.identity.keycloak import client
from apps.instances import allocation, capacity
from apps.onboarding import checkout_attempt, checkout_result, own_account, own_details, unpaid_seats, waitlist
from apps.onboarding.checkout_attempt import AttemptReplaced

TAKEN = {
    "username": gettext_noop("This username is taken. Please choose another."),
    "email": gettext_noop("There's already an account with this email address. Log in instead."),
}
USERNAME_RESERVED = gettext_noop("Someone else is signing up with this username right now. Please choose another.")
PAYING = gettext_noop(
    "You've already started a payment with this email address. If it doesn't go through, you can sign up again then."
)
MAX_TRIES = 4  # per request, while other tabs of the same signup open sessions
CHECKOUT_FIELDS = [
    "state", "profile", "checkout_session_id", "checkout_number", "checkout_digest", "checkout_expires_at",
]  # fmt: skip


class ProductFull(Exception):
    """No instance of `product` has room."""

    def __init__(self, product: Product) -> None:
        super().__init__(product.slug)
        self.product = product


class NameTaken(BadInput):
    """The username or the email address is taken; `field` says which."""

    def __init__(self, field: str, message: str = "") -> None:
        super().__init__(message or _(TAKEN[field]), field=field, code="taken", status=409)


class PayingElsewhere(Exception):
    """Another sign-up with the same address, confirmed in another browser, is at its payment."""

    def __init__(self, signup: Signup) -> None:
        super().__init__(str(signup.pk))
        self.signup = signup


class AlreadyPaid(Exception):
    """This signup's session has been paid in the meantime."""


@dataclass(frozen=True)
class OpenCheckout:
    """An open Checkout session: `client_secret` for the embedded page, `url` for the hosted one."""

    session_id: str
    client_secret: str
    url: str


def open_checkout(signup: Signup, *, ui: str) -> OpenCheckout:
    """Reserve what `signup` needs and open its Checkout session, or return the open one of the same basket.

    However many tabs ask at once, at most one session can be paid: a request that another tab replaced tries again. Whose mailbox
    it is goes on in the browser they use now: a session that another one has open is closed, unless it has been paid. `ui` is
    "embedded" or "hosted". Who pays has accepted the terms that the signup names: other terms are another session. Raises ProductFull, NameTaken, AlreadyPaid, BadInput (an empty basket, an unconfirmed address),
    and the errors of billing when Stripe is away.
    """
    freed: set[int] = set()  # products of which this request has made another one's seat free
    for _try in range(MAX_TRIES):
        try:
            return _try_to_open_checkout(signup, embedded=ui == "embedded", freed=freed)
        except AttemptReplaced:
            signup.refresh_from_db(fields=CHECKOUT_FIELDS)
        except PayingElsewhere as other:
            signup.refresh_from_db(fields=CHECKOUT_FIELDS)
            if not checkout_result.end_unpaid_checkout(other.signup):
                raise BadInput(_(PAYING), field="email", code="in_checkout", status=409) from other
        except ProductFull as full:
            signup.refresh_from_db(fields=CHECKOUT_FIELDS)
            if not unpaid_seats.make_room(full.product, signup=signup):
                raise
            freed.add(full.product.pk)
    raise BadInput(_("You've opened the payment in another tab. Please continue there."), code="elsewhere", status=409)


def _try_to_open_checkout(signup: Signup, *, embedded: bool, freed: Collection[int]) -> OpenCheckout:
    prices = basket_prices(signup)
    digest = _checkout_digest(signup, prices, embedded=embedded)
    session = _find_open_session(signup, digest)
    if session is None:
        refuse_taken_in_keycloak(signup)
        profile = reserve_for_checkout(signup, prices, digest, freed=freed)
        customers.ensure_customer(profile)
        session = checkout_attempt.open_session(
            signup, profile, prices=prices, pages=checkout.CheckoutPages(embedded=embedded)
        )
    return OpenCheckout(session.id, session.client_secret, session.url)


def basket_prices(signup: Signup) -> list[tuple[ProductPrice, int]]:
    """The basket as prices of the chosen interval; BadInput when something in it is not for sale."""
    wanted = {str(slug): int(quantity) for slug, quantity in signup.basket.items() if int(quantity) > 0}
    found = ProductPrice.objects.filter(
        product__slug__in=wanted, product__is_active=True, is_active=True, interval=signup.interval
    ).select_related("product")
    prices = [(price, wanted[price.product.slug]) for price in found.order_by("product__position", "pk")]
    if not any(price.product.placement == Product.Placement.PLAN for price, _ in prices):
        raise BadInput(_("Please choose a plan first."), field="plan", code="no_plan")
    if len(prices) != len(wanted):
        raise BadInput(
            _("Part of your choice is no longer available. Please choose again."),
            field="plan",
            code="gone",
        )
    return prices


def _checkout_digest(signup: Signup, prices: list[tuple[ProductPrice, int]], *, embedded: bool) -> str:
    ui = "embedded" if embedded else "hosted"
    sold = [(price.stripe_price_id, quantity) for price, quantity in prices]
    trial_days = checkout_attempt.trial_days_of(signup.profile)
    who = [signup.username, signup.email, signup.keycloak_id]
    whole = [signup.terms_version, ui, *who, sold, trial_days, checkout_features.page_locale()]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()


def _find_open_session(signup: Signup, digest: str) -> checkout.CheckoutSession | None:
    """The open session of the same basket; one of another basket is closed. AlreadyPaid if it has been paid."""
    if not signup.checkout_session_id or signup.state != Signup.State.CHECKOUT:
        return None
    same = signup.checkout_digest == digest
    session = (checkout.fetch_session if same else checkout.expire_session)(signup.checkout_session_id)
    if session.status == "complete":
        checkout_result.check_checkout_later(signup)
        raise AlreadyPaid
    if session.status == "open" and signup.profile and customers.ensure_customer(signup.profile) != session.customer_id:
        session = checkout.expire_session(session.id)  # its customer was deleted at Stripe: nobody can pay it
    return session if session.status == "open" else None


def refuse_taken_in_keycloak(signup: Signup) -> None:
    """Keycloak may have accounts we don't; that of who signs up with it must still be usable. While it is away the sale goes on; staff
    resolve a conflict.
    """
    if signup.keycloak_id:
        own_account.recheck(signup)
        return
    mine = signup.profile is not None and signup.profile.keycloak_id is not None
    if mine:
        return
    try:
        keycloak = client(patience=own_account.PATIENCE_SECONDS)
        name, address = keycloak.username_taken(signup.username), keycloak.email_taken(signup.email)
    except (DependencyDown, RetryLater):
        return
    if name is None or address is None:
        raise DependencyDown("keycloak", "Keycloak's answers about names cannot be believed at the moment.")
    if name:
        raise NameTaken("username")
    if address:
        raise NameTaken("email")


@transaction.atomic
def reserve_for_checkout(
    signup: Signup, prices: list[tuple[ProductPrice, int]], digest: str, *, freed: Collection[int] = ()
) -> UserProfile:
    """Reserve the username, the address and the seats for the life of the session, all or nothing; returns the profile."""
    if signup.email_proven_at is None:
        raise BadInput(_("Please confirm your email address first."), field="email", code="unproven")
    lock_until_commit(LockClass.UNPAID_SEATS, 0)
    fresh = Signup.objects.select_for_update().get(pk=signup.pk)
    if fresh.state not in Signup.UNFINISHED:
        raise BadInput(_("This sign-up has ended. Please start again."), code="ended")
    _refuse_replaced(signup, fresh)
    _stop_for_second_payment(signup)
    signup.profile = profile = find_or_create_profile(signup)
    # The same attempt, after a lost answer or in another tab, keeps its number and end, and so its idempotency key.
    signup.checkout_number, signup.checkout_expires_at = fresh.checkout_number, fresh.checkout_expires_at
    if not (fresh.checkout_digest == digest and fresh.checkout_session_id is None and fresh.checkout_number):
        checkout_attempt.number_attempt(signup)
    signup.checkout_digest = digest
    checkout_attempt.save_attempt(signup, conflict=name_conflict)
    until = checkout_result.reservation_end(signup)
    needed = Product.seats_of([price.product_id for price, _ in prices])
    reserved_until = max(until, waitlist.invited_until(profile) or until)
    seated = capacity.products_with_seat(profile)
    if any(product.pk not in seated for product in needed):
        unpaid_seats.refuse_crowds(signup)
    for product in needed:
        if product.pk not in seated:
            unpaid_seats.refuse_debits(product, signup=signup)
        used = product.pk not in {*seated, *freed} and unpaid_seats.is_share_used(product, signup=signup)
        if used or allocation.reserve(profile=profile, product=product, until=reserved_until) is None:
            raise ProductFull(product)
    checkout_result.release_unneeded_reservations(profile, needed=needed)
    checkout_result.check_when_checkout_ends(signup)
    return profile


def _refuse_replaced(signup: Signup, fresh: Signup) -> None:
    """AttemptReplaced when a session was opened since `signup` was read: it would stay open beside ours."""
    if fresh.checkout_session_id != signup.checkout_session_id:
        raise AttemptReplaced


def _stop_for_second_payment(signup: Signup) -> None:
    """PayingElsewhere while another sign-up with this address or account is at its payment; that may be a debit the bank has not
    answered.
    """
    same = Q(email__iexact=signup.email)
    if signup.keycloak_id:
        same |= Q(keycloak_id=signup.keycloak_id)
    others = Signup.objects.filter(same, state=Signup.State.CHECKOUT).exclude(pk=signup.pk)
    if (other := others.first()) is not None:
        raise PayingElsewhere(other)


def name_conflict(error: IntegrityError) -> BadInput:
    """What two sign-ups or accounts may not both have, by the name of the constraint that was broken."""
    broken = getattr(getattr(error.__cause__, "diag", None), "constraint_name", None) or ""
    if broken == "signup_one_live_per_username":
        return NameTaken("username", _(USERNAME_RESERVED))
    if broken == "signup_one_live_per_email":
        return BadInput(_(PAYING), field="email", code="in_checkout", status=409)
    return NameTaken("email" if "email" in broken else "username")


def find_or_create_profile(signup: Signup) -> UserProfile:
    """The profile of this address if it never paid, else a new one; NameTaken for the address of a customer."""
    profile = UserProfile.objects.select_related("user").select_for_update().filter(email__iexact=signup.email).first()
    if profile is not None and profile.access_state == AccessState.EXPIRED and signup.profile_id == profile.pk:
        own_details.change_language(profile, languages.active())
        return profile  # an expired customer, confirmed by email, signs up again under the same name
    if profile is not None and profile.is_customer:
        raise NameTaken("email")
    names = {"first_name": signup.first_name, "last_name": signup.last_name, "email": signup.email}
    try:
        with transaction.atomic():
            if profile is not None:
                User.objects.filter(pk=profile.user_id).update(username=signup.username, **names)
                own_details.change_language(profile, languages.active())
                own_account.claim(profile, signup.keycloak_id)
                profile.user.refresh_from_db()
                return profile
            user = User(username=signup.username, **names)
            user.set_unusable_password()
            user.save()
            profile = UserProfile.objects.create(
                user=user, email=signup.email, language=languages.active(), created_at=clock.now()
            )
            own_account.claim(profile, signup.keycloak_id)
    except IntegrityError as error:
        raise name_conflict(error) from error
    audit.record(
        subject=profile.subject, action=AuditAction.SIGNED_UP, actor=audit.CUSTOMER, after={"signup": str(signup.pk)}
    )
    return profile
