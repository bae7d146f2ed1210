"""The way back for somebody whose access has ended: open the window, show where they stand, let them pay again.

Promises: a proven mailbox opens the account and nothing behind it (policy row 5); a hold is never lifted here; the same
Stripe customer pays the present prices of the same products; there is never a second living subscription; what was kept
when the payment began is still there when it arrives. A payment brings access by the one reconciler, as any other does.
"""

import datetime as dt
from dataclasses import dataclass, replace
from enum import StrEnum

from django.conf import settings
from django.db import IntegrityError, transaction

from apps.access import facts, lifecycle_emails, reconcile
from apps.access.policy import Decision, day, decide
from apps.accounts.models import Signup, UserProfile
from apps.billing import checkout, mirror, portal, subscriptions
from apps.catalog.models import Product, ProductPrice
from apps.core import audit, clock, jobs
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.core.states import AccessState, SubscriptionStatus
from apps.onboarding import checkout_result

SEND_CODE = "send_recovery_code"  # the job that emails a code because staff asked; it works in any browser
PAGE = "/recovery/"


class Way(StrEnum):
    """What helps somebody, by where they stand."""

    RENEW = "renew"
    PAY = "pay"
    PORTAL = "portal"
    LOG_IN = "log_in"
    CONTACT = "contact"
    BEGIN_ANEW = "begin_anew"


@dataclass(frozen=True)
class Item:
    """One line of what was paid for: its product (None: no longer known) and how many."""

    product: Product | None
    quantity: int


@dataclass(frozen=True)
class Standing:
    """Where a person stands. `final_at`: when place and entitlements are given up; `pays_url`: the open invoice."""

    state: AccessState
    way: Way
    items: tuple[Item, ...]
    interval: str
    final_at: dt.datetime | None
    pays_url: str = ""


def standing(profile: UserProfile) -> Standing:
    """What `profile` can do now, from our own rows; no call."""
    found = subscriptions.read_subscriptions(profile.stripe_customer_id)
    decision = _decision(profile)
    last = max(
        found,
        key=lambda one: (SubscriptionStatus(one.status).is_late, one.ended_at or clock.now(), one.id),
        default=None,
    )
    products = Product.objects.in_bulk([line.product_id for line in last.lines if line.product_id] if last else [])
    return Standing(
        state=decision.state,
        way=_way(decision, last),
        items=tuple(Item(products.get(line.product_id or 0), line.quantity) for line in last.lines) if last else (),
        interval=next((line.interval for line in last.lines), "month") if last else "month",
        final_at=decision.final_expiry_at,
        pays_url=last.open_invoice_url if last and SubscriptionStatus(last.status).is_late else "",
    )


def _decision(profile: UserProfile) -> Decision:
    """As things are, but for an open payment: that keeps what there is, it does not open the way once more."""
    return decide(replace(facts.read_facts(profile), paying=None))


def _way(decision: Decision, last: subscriptions.SubscriptionState | None) -> Way:
    if decision.state.has_access:
        return Way.LOG_IN
    if decision.state == AccessState.EXPIRED:
        return Way.BEGIN_ANEW
    if decision.state in {AccessState.ON_HOLD, AccessState.NONE} or last is None or last.money_returned:
        return Way.CONTACT
    if last.status == "canceled":
        return Way.RENEW
    return Way.PAY if last.open_invoice_url else Way.PORTAL


@transaction.atomic
def open_window(profile: UserProfile, *, actor: str, reason: str) -> dt.datetime:
    """Let somebody in to pay, for RECOVERY_WINDOW_HOURS; returns until when.

    BadInput, with a sentence, for everybody whose access has not ended by billing, or is over for good.
    """
    state = decide(facts.read_facts(profile)).state
    refusals = {
        AccessState.ON_HOLD: "The account is on hold. Only staff or the hold's end date can lift it.",
        AccessState.EXPIRED: "The account has expired. The customer has to sign up again.",
        AccessState.NONE: "This account has never been paid for.",
        AccessState.ACTIVE: "The account is open. Logging in is enough.",
        AccessState.GRACE: "The account is open. Logging in is enough.",
    }
    if state in refusals:
        raise BadInput(refusals[state], code=f"state_{state}")
    until = clock.now() + dt.timedelta(hours=settings.RECOVERY_WINDOW_HOURS)
    _set_window(profile, until, action=AuditAction.RECOVERY_OPENED, actor=actor, reason=reason)
    jobs.defer(lifecycle_emails.RECOVERY_OPENED, f"{profile.pk}:{int(until.timestamp())}", reason=reason)
    return until


@transaction.atomic
def close_window(profile: UserProfile, *, actor: str, reason: str) -> None:
    """End the window now; BadInput when none is open."""
    if profile.recovering_until is None or profile.recovering_until <= clock.now():
        raise BadInput("No recovery is open.", code="not_open")
    _set_window(profile, None, action=AuditAction.RECOVERY_CLOSED, actor=actor, reason=reason)


def _set_window(
    profile: UserProfile, until: dt.datetime | None, *, action: AuditAction, actor: str, reason: str
) -> None:
    before = profile.recovering_until
    profile.recovering_until = until
    profile.save(update_fields=["recovering_until"])
    audit.record(
        subject=profile.subject,
        action=action,
        actor=actor,
        reason=reason,
        before={"until": before.isoformat() if before else None},
        after={"until": until.isoformat() if until else None},
    )
    reconcile.enqueue(profile, reason=action.replace("_", " "))


def payment_url(profile: UserProfile) -> str:
    """Where to pay: the open invoice, Stripe's portal, or a Checkout for what was paid for before.

    BadInput where paying is not the way, and the errors of billing when Stripe is away.
    """
    now = standing(profile)
    if now.way == Way.PAY:
        return now.pays_url
    if now.way == Way.PORTAL:
        return portal.open_portal(profile=profile, return_url=f"{settings.BASE_URL}{PAGE}")
    if now.way != Way.RENEW:
        raise BadInput("There's nothing to pay here.", code=f"way_{now.way}", status=409)
    return _checkout(profile, now)


def _checkout(profile: UserProfile, now: Standing) -> str:
    """The open Checkout of this person, or a new one."""
    prices = present_prices(now)
    signup = Signup.objects.filter(profile=profile, state=Signup.State.CHECKOUT).order_by("-created_at").first()
    if signup is not None and signup.checkout_session_id:
        session = checkout.fetch_session(signup.checkout_session_id)
        if session.status == "open" and session.url:
            return session.url
        jobs.defer(checkout_result.KIND, str(signup.pk), reason="its session is no longer open")
        if session.status == "complete":
            raise BadInput("We've received your payment. Your apps will open in a moment.", code="paid", status=409)
    if checkout.has_open_subscription(profile.stripe_customer_id or ""):
        mirror.mirror_later(profile.stripe_customer_id or "", reason="a recovery found a living subscription")
        raise BadInput("Your subscription is already active. Your apps will open in a moment.", code="paid", status=409)
    return _open(_signup(profile, now, again=signup), profile, prices)


def present_prices(now: Standing) -> list[tuple[ProductPrice, int]]:
    """What the same products cost today, at the same interval; BadInput when one of them is no longer sold."""
    wanted = {item.product.pk: item.quantity for item in now.items if item.product is not None}
    found = ProductPrice.objects.filter(
        product__in=wanted, product__is_active=True, is_active=True, interval=now.interval
    ).select_related("product")
    prices = [(price, wanted[price.product_id]) for price in found.order_by("product__position", "pk")]
    if not prices or len(prices) != len(now.items):
        raise BadInput(
            "Part of your old plan is no longer sold. Please write to us, and we'll help you find a new one.",
            code="gone",
            status=409,
        )
    return prices


@transaction.atomic
def _signup(profile: UserProfile, now: Standing, *, again: Signup | None) -> Signup:
    """The row behind the Checkout: by it the payment is settled, and while it is open nothing is given up."""
    signup = (
        Signup.objects.select_for_update().filter(pk=again.pk, state=Signup.State.CHECKOUT).first() if again else None
    )
    if signup is None:
        signup = Signup(
            profile=profile,
            first_name=profile.user.first_name,
            last_name=profile.user.last_name,
            username=profile.user.username,
            email=profile.email,
            email_proven_at=clock.now(),
            interval=now.interval,
            basket={item.product.slug: item.quantity for item in now.items if item.product},
            state=Signup.State.CHECKOUT,
            created_at=clock.now(),
        )
    signup.checkout_session_id = None
    signup.checkout_number += 1
    signup.checkout_expires_at = checkout.session_expiry()
    try:
        with transaction.atomic():
            signup.save()
    except IntegrityError as error:
        raise BadInput(
            "Your payment is already opening. Please try again in a moment.", code="busy", status=409
        ) from error
    jobs.defer(
        checkout_result.KIND,
        str(signup.pk),
        reason="the session ends",
        not_before=signup.checkout_expires_at + facts.RESERVATION_MARGIN,
    )
    reconcile.enqueue(profile, reason="a payment to come back is open")
    return signup


def _open(signup: Signup, profile: UserProfile, prices: list[tuple[ProductPrice, int]]) -> str:
    session = checkout.open_session(
        signup_id=str(signup.pk),
        number=signup.checkout_number,
        customer_id=profile.stripe_customer_id or "",
        prices=[(price.stripe_price_id, quantity) for price, quantity in prices],
        expires_at=signup.checkout_expires_at or checkout.session_expiry(),
        pages=checkout.CheckoutPages(embedded=False, success=PAGE, cancel=PAGE),
    )
    Signup.objects.filter(pk=signup.pk).update(checkout_session_id=session.id)
    return session.url


def final_day(now: Standing) -> str:
    """The final date as people read it; empty when there is none."""
    return day(now.final_at) if now.final_at else ""
