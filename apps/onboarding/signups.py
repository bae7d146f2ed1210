"""From a filled-in wizard to a paid one: reserve the name and the seats, open Stripe's Checkout.

Promises: nobody pays for a product that is full or under a name somebody else has; a reload finds the same session; a
crash at any point leaves reservations that end by themselves (checkout_result.py).
"""

import hashlib
import json
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from apps.access.facts import RESERVATION_MARGIN
from apps.accounts.models import Signup, UserProfile
from apps.billing import checkout
from apps.billing.stripe_client import SpentIdempotencyKey
from apps.catalog.models import Product, ProductPrice
from apps.core import audit, clock, jobs
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput, DependencyDown, NeedsOperator, RetryLater
from apps.core.states import AccessState
from apps.identity.keycloak import client
from apps.instances import allocation
from apps.onboarding import checkout_result, invitations

KEYCLOAK_SECONDS = 3.0  # a visitor waits for this answer
TRIES = 4  # of one request, while other tabs of the same signup open sessions
CHECKOUT_FIELDS = [
    "state", "profile", "checkout_session_id", "checkout_number", "checkout_digest", "checkout_expires_at",
]  # fmt: skip


class ProductFull(Exception):
    """No instance of `product` has room."""

    def __init__(self, product: Product) -> None:
        super().__init__(product.slug)
        self.product = product


class NameTaken(BadInput):
    """The username or the email address belongs to somebody; `field` says which."""


class Overtaken(Exception):
    """Another tab has begun a payment of the same signup meanwhile."""


class AlreadyPaid(Exception):
    """The session of this signup was paid meanwhile."""


@dataclass(frozen=True)
class Opened:
    """An open Checkout session: `client_secret` for the embedded page, `url` for the hosted one."""

    session_id: str
    client_secret: str
    url: str


def begin(signup: Signup, *, ui: str) -> Opened:
    """Reserve what `signup` needs and open its Checkout session, or find the one that is open for the same basket.

    However many tabs ask at once, at most one session can be paid: whoever was overtaken looks again. `ui` is "embedded"
    or "hosted". Raises ProductFull, NameTaken, AlreadyPaid, BadInput (an empty basket, an address that was not proven),
    and the errors of billing when Stripe is away.
    """
    for _ in range(TRIES):
        try:
            return _begin(signup, ui=ui)
        except Overtaken:
            signup.refresh_from_db(fields=CHECKOUT_FIELDS)
    raise BadInput("You've opened the payment in another tab. Please continue there.", code="elsewhere", status=409)


def _begin(signup: Signup, *, ui: str) -> Opened:
    prices = prices_of(signup)
    digest = _digest(signup, prices, ui)
    known = _still_open(signup, digest)
    if known is not None:
        return known
    _refuse_taken_in_keycloak(signup)
    reserve(signup, prices, digest)
    profile = signup.profile
    if profile is None:
        raise NeedsOperator(f"Signup {signup.pk} has no profile after its reservation.")
    if not profile.stripe_customer_id:
        user = profile.user
        profile.stripe_customer_id = checkout.make_customer(
            onboarding_id=str(profile.onboarding_id), email=profile.email, name=user.get_full_name()
        )
        profile.save(update_fields=["stripe_customer_id"])
    return _open(signup, profile.stripe_customer_id, prices, embedded=ui == "embedded")


def prices_of(signup: Signup) -> list[tuple[ProductPrice, int]]:
    """The basket as prices of the chosen interval; BadInput when something in it is not for sale."""
    wanted = {str(slug): int(quantity) for slug, quantity in signup.basket.items() if int(quantity) > 0}
    found = ProductPrice.objects.filter(
        product__slug__in=wanted, product__is_active=True, is_active=True, interval=signup.interval
    ).select_related("product")
    prices = [(price, wanted[price.product.slug]) for price in found.order_by("product__position", "pk")]
    if not any(price.product.placement == Product.Placement.PLAN for price, _ in prices):
        raise BadInput("Please choose a plan first.", field="plan", code="no_plan")
    if len(prices) != len(wanted):
        raise BadInput(
            "Part of your choice is no longer available. Please choose again.",
            field="plan",
            code="gone",
        )
    return prices


def seats_needed(prices: list[tuple[ProductPrice, int]]) -> list[Product]:
    """The apps in the basket that need a seat, each once, in a fixed order."""
    bought = [price.product_id for price, _ in prices]
    direct = Product.objects.filter(pk__in=bought, needs_instance=True)
    included = Product.objects.filter(included_in__in=bought, needs_instance=True)
    return list((direct | included).distinct().order_by("pk"))


def _digest(signup: Signup, prices: list[tuple[ProductPrice, int]], ui: str) -> str:
    sold = [(price.stripe_price_id, quantity) for price, quantity in prices]
    return hashlib.sha256(json.dumps([ui, signup.username, signup.email, sold]).encode()).hexdigest()


def _still_open(signup: Signup, digest: str) -> Opened | None:
    """The session that is open for the same basket; one for another basket is closed. AlreadyPaid if it was paid."""
    if not signup.checkout_session_id or signup.state != Signup.State.CHECKOUT:
        return None
    same = signup.checkout_digest == digest
    session = (checkout.fetch_session if same else checkout.expire_session)(signup.checkout_session_id)
    if session.status == "complete":
        checkout_result.settle_later(signup)
        raise AlreadyPaid
    return Opened(session.id, session.client_secret, session.url) if session.status == "open" else None


def _refuse_taken_in_keycloak(signup: Signup) -> None:
    """Keycloak may have people we do not know. When it is away, the sale goes on: a conflict is settled by staff."""
    mine = signup.profile is not None and signup.profile.keycloak_id is not None
    if mine:
        return
    try:
        keycloak = client(patience=KEYCLOAK_SECONDS)
        name, address = keycloak.username_taken(signup.username), keycloak.email_taken(signup.email)
    except (DependencyDown, RetryLater):
        return
    if name is None or address is None:
        raise DependencyDown("keycloak", "Keycloak's answers about names cannot be believed at the moment.")
    if name:
        raise NameTaken("This username is taken. Please choose another.", field="username", code="taken")
    if address:
        raise NameTaken(
            "There's already an account with this email address. Log in instead.",
            field="email",
            code="taken",
        )


@transaction.atomic
def reserve(signup: Signup, prices: list[tuple[ProductPrice, int]], digest: str) -> None:
    """Take the username, the address and the seats for as long as the session will live. All or nothing."""
    if signup.email_proven_at is None:
        raise BadInput("Please confirm your email address first.", field="email", code="unproven")
    fresh = Signup.objects.select_for_update().get(pk=signup.pk)
    if fresh.state not in {Signup.State.OPEN, Signup.State.CHECKOUT}:
        raise BadInput("This sign-up has ended. Please start again.", code="ended")
    _refuse_overtaken(signup, fresh)
    profile = _profile_for(signup)
    signup.profile = profile
    # The same try, after a lost answer or in another tab, keeps number and end, and so its key.
    signup.checkout_number, signup.checkout_expires_at = fresh.checkout_number, fresh.checkout_expires_at
    if not (fresh.checkout_digest == digest and fresh.checkout_session_id is None and fresh.checkout_number):
        signup.checkout_number += 1  # a new try has a key of its own
        signup.checkout_expires_at = checkout.session_expiry()
    signup.checkout_session_id = None
    signup.checkout_digest = digest
    signup.state = Signup.State.CHECKOUT
    try:
        with transaction.atomic():
            signup.save()
    except IntegrityError as error:
        raise NameTaken(
            "Someone else is signing up with this username right now. Please choose another.",
            field="username",
            code="taken",
        ) from error
    until = (signup.checkout_expires_at or clock.now()) + RESERVATION_MARGIN
    needed = seats_needed(prices)
    reserved_until = max(until, invitations.standing(profile) or until)
    for product in needed:
        if allocation.reserve(profile=profile, product=product, until=reserved_until) is None:
            raise ProductFull(product)
    checkout_result.release_unneeded_reservations(profile, keep=needed)
    jobs.defer(checkout_result.KIND, str(signup.pk), reason="the session ends", not_before=until)


def _refuse_overtaken(signup: Signup, fresh: Signup) -> None:
    """Overtaken when a session was opened since `signup` was read: it would stay open beside ours."""
    if fresh.checkout_session_id != signup.checkout_session_id:
        raise Overtaken


def _profile_for(signup: Signup) -> UserProfile:
    """The profile this signup will become: the address's own if it never paid, else a new one."""
    profile = UserProfile.objects.select_related("user").select_for_update().filter(email__iexact=signup.email).first()
    if profile is not None and profile.access_state == AccessState.EXPIRED and signup.profile_id == profile.pk:
        return profile  # has been here before, proved it, and begins anew under the same name
    if profile is not None and (profile.keycloak_id or profile.subscription_status):
        raise NameTaken(
            "There's already an account with this email address. Log in instead.",
            field="email",
            code="taken",
        )
    names = {"first_name": signup.first_name, "last_name": signup.last_name, "email": signup.email}
    try:
        with transaction.atomic():
            if profile is not None:
                User.objects.filter(pk=profile.user_id).update(username=signup.username, **names)
                profile.user.refresh_from_db()
                return profile
            user = User(username=signup.username, **names)
            user.set_unusable_password()
            user.save()
    except IntegrityError as error:
        raise NameTaken("This username is taken. Please choose another.", field="username", code="taken") from error
    profile = UserProfile.objects.create(user=user, email=signup.email, created_at=clock.now())
    audit.record(
        subject=profile.subject,
        action=AuditAction.SIGNED_UP,
        actor=audit.CUSTOMER,
        after={"username": signup.username},
    )
    return profile


def _open(signup: Signup, customer_id: str, prices: list[tuple[ProductPrice, int]], *, embedded: bool) -> Opened:
    try:
        session = checkout.open_session(
            signup_id=str(signup.pk),
            number=signup.checkout_number,
            customer_id=customer_id,
            prices=[(price.stripe_price_id, quantity) for price, quantity in prices],
            expires_at=signup.checkout_expires_at or checkout.session_expiry(),
            pages=checkout.CheckoutPages(embedded=embedded),
        )
    except (SpentIdempotencyKey, NeedsOperator):
        # Stripe replays a stored 500 to the same key for a day; the next try gets a key of its own.
        Signup.objects.filter(pk=signup.pk).update(checkout_digest="")
        raise
    if not _keep(signup, session):
        checkout.expire_session(session.id)  # nobody has seen it
        raise Overtaken
    return Opened(session.id, session.client_secret, session.url)


def _keep(signup: Signup, session: checkout.CheckoutSession) -> bool:
    """Note the session as the signup's own; False when another tab has reserved for another basket meanwhile."""
    mine = Signup.objects.filter(pk=signup.pk, state=Signup.State.CHECKOUT, checkout_number=signup.checkout_number)
    signup.checkout_session_id = session.id
    return bool(mine.update(checkout_session_id=session.id))
