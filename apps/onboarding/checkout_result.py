"""How a signup's checkout ended: a paid one goes on, any other gives back its username and reserved seats.

Promises: we ask Stripe and trust no event; a paid session never expires a signup; checking again is always safe.
"""

import datetime as dt
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from apps.access.facts import RESERVATION_MARGIN
from apps.accounts.models import Signup, UserProfile
from apps.billing import checkout, mirror
from apps.catalog.models import Product
from apps.core import audit, clock, jobs
from apps.core.audit_actions import AuditAction
from apps.core.models import Job
from apps.instances import allocation
from apps.instances.models import Seat
from apps.onboarding import waitlist

CHECK_CHECKOUT = "check_checkout"  # job kind; its key is the signup's id
SWEEP_SECONDS = 60
UNPAID_RESERVATION = dt.timedelta(days=14)  # bank debits confirm days later


def register() -> None:
    """Register the job kinds and listen to billing."""
    jobs.register(
        CHECK_CHECKOUT,
        apply_checkout_result,
        label="Check checkout",
        needs=("stripe",),
        importance=Job.Importance.PERSON_WAITS,
    )
    jobs.register("sweep_checkouts", sweep_checkouts, label="Sweep ended checkouts", every=SWEEP_SECONDS)
    mirror.on_session.append(check_changed_session)


def check_changed_session(session_id: str) -> None:
    """Called when a Checkout session changed: check the signup it belongs to, if it is one of ours."""
    signup = Signup.objects.filter(checkout_session_id=session_id).first()
    if signup is not None:
        check_checkout_later(signup)


def sweep_checkouts(_key: str) -> None:
    """Every minute: check the signups whose Checkout session has ended."""
    for signup in Signup.objects.filter(state=Signup.State.CHECKOUT, checkout_expires_at__lte=clock.now())[:500]:
        check_checkout_later(signup)


def check_checkout_later(
    signup: Signup, *, reason: str = "check requested", not_before: dt.datetime | None = None
) -> None:
    """Queue a check of the signup's Checkout session, now or at `not_before`."""
    jobs.defer(CHECK_CHECKOUT, str(signup.pk), reason=reason, not_before=not_before)


def check_when_checkout_ends(signup: Signup) -> None:
    """Queue a check for when no more payment can arrive."""
    check_checkout_later(signup, reason="the session ends", not_before=reservation_end(signup))


def reservation_end(signup: Signup) -> dt.datetime:
    """Until when what `signup` reserves is held: a little longer than its session lives."""
    return (signup.checkout_expires_at or clock.now()) + RESERVATION_MARGIN


def apply_checkout_result(signup_id: str) -> None:
    """Ask Stripe about the session: a paid signup goes on, an ended one expires, an open one is checked at its end."""
    signup = Signup.objects.select_related("profile__user").get(pk=signup_id)
    if signup.state != Signup.State.CHECKOUT or signup.profile is None:
        return
    session = fetch_or_close_session(signup)
    if session is not None and session.status == "complete":
        accept_payment(signup, signup.profile, session)
    elif session is None or session.status == "expired":
        expire_signup(signup)
    else:
        check_when_checkout_ends(signup)


def fetch_or_close_session(signup: Signup) -> checkout.CheckoutSession | None:
    """The session's current state; one past its end is closed first, so that it cannot be paid afterwards."""
    over = signup.checkout_expires_at is not None and clock.now() >= signup.checkout_expires_at
    if not signup.checkout_session_id:
        # We crashed before storing Stripe's answer. Until the session ends, the browser may still come back for it.
        return None if over else checkout.CheckoutSession("", "open", "unpaid", "", "", "")
    return (checkout.expire_session if over else checkout.fetch_session)(signup.checkout_session_id)


@transaction.atomic
def accept_payment(signup: Signup, profile: UserProfile, session: checkout.CheckoutSession) -> None:
    """Extend the reservations and mirror the subscription; the signup is paid once the money has arrived."""
    reserved = Seat.objects.filter(profile=profile, state=Seat.State.RESERVED).select_related("product")
    for seat in reserved:
        allocation.reserve(profile=profile, product=seat.product, until=clock.now() + UNPAID_RESERVATION)
    waitlist.mark_signed_up(profile)
    if session.is_paid:
        _end_signup(signup, Signup.State.PAID)
        audit.record(
            subject=profile.subject,
            action=AuditAction.CHECKOUT_PAID,
            actor=audit.CUSTOMER,
            after={"session": session.id},
        )
    mirror.mirror_later(session.customer_id, reason="checkout completed", importance=Job.Importance.PERSON_WAITS)


@transaction.atomic
def expire_signup(signup: Signup) -> None:
    """Release the seats and the username of an unpaid signup. The profile stays for the next try with this address."""
    profile = signup.profile
    _end_signup(signup, Signup.State.EXPIRED)
    if profile is None or profile.keycloak_id or profile.subscription_status:
        return
    if waitlist.invited_until(profile) is None:
        release_unneeded_reservations(profile, needed=[])
    User.objects.filter(pk=profile.user_id).update(username=f"unclaimed-{profile.onboarding_id.hex}")
    audit.record(subject=profile.subject, action=AuditAction.SIGNUP_EXPIRED, after={"signup": str(signup.pk)})


def _end_signup(signup: Signup, state: Signup.State) -> None:
    changes: dict[str, Any] = {"state": state, "ended_at": clock.now()}
    Signup.objects.filter(pk=signup.pk).update(**changes)
    signup.state, signup.ended_at = state, changes["ended_at"]


def release_unneeded_reservations(profile: UserProfile, *, needed: list[Product]) -> None:
    """Release seats reserved for an earlier basket that the current one does not need."""
    reserved = (
        Seat.objects.filter(profile=profile, state=Seat.State.RESERVED)
        .exclude(product__in=needed)
        .select_related("product")
    )
    for seat in reserved:
        allocation.release(profile=profile, product=seat.product)
