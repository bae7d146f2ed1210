"""How a signup's payment ended: paid ones go on, the others give back the name and the seats they had reserved.

Promises: Stripe is asked, no event is believed; a session that was paid is never given up; looking again is always safe.
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
from apps.instances import allocation
from apps.instances.models import Seat
from apps.onboarding import invitations

KIND = "settle_signup"
SWEEP_SECONDS = 60
UNPAID_RESERVATION = dt.timedelta(days=14)  # bank debits confirm days later
PAID = frozenset({"paid", "no_payment_required"})


def register() -> None:
    """Make the job kinds known, and listen to billing."""
    jobs.register(KIND, settle, label="Check checkout", needs=("stripe",))
    jobs.register("sweep_checkouts", sweep, label="Sweep ended checkouts", every=SWEEP_SECONDS)
    mirror.on_session.append(session_changed)


def session_changed(session_id: str) -> None:
    """Something happened to a Checkout session: the signup behind it, found by our own row, is checked."""
    signup = Signup.objects.filter(checkout_session_id=session_id).first()
    if signup is not None:
        settle_later(signup)


def sweep(_key: str) -> None:
    """Every minute: signups whose Checkout session has run out."""
    for signup in Signup.objects.filter(state=Signup.State.CHECKOUT, checkout_expires_at__lte=clock.now())[:500]:
        settle_later(signup)


def settle_later(signup: Signup) -> None:
    """Ask for a look at the signup's session now."""
    jobs.defer(KIND, str(signup.pk), reason="asked to look")


def settle(signup_id: str) -> None:
    """Look at the session at Stripe: paid signups go on, ended ones give back what they reserved, open ones wait."""
    signup = Signup.objects.select_related("profile__user").get(pk=signup_id)
    if signup.state != Signup.State.CHECKOUT or signup.profile is None:
        return
    session = _look(signup)
    if session is not None and session.status == "complete":
        _paid(signup, signup.profile, session)
    elif session is None or session.status == "expired":
        give_up(signup)
    else:
        end = (signup.checkout_expires_at or clock.now()) + RESERVATION_MARGIN
        jobs.defer(KIND, str(signup.pk), reason="the session ends", not_before=end)


def _look(signup: Signup) -> checkout.CheckoutSession | None:
    """The session as it is; one past its end is closed first, so that it cannot be paid behind our back."""
    over = signup.checkout_expires_at is not None and clock.now() >= signup.checkout_expires_at
    if not signup.checkout_session_id:
        # The process died before Stripe's answer was stored. Until the end, the browser may still come back for it.
        return None if over else checkout.CheckoutSession("", "open", "unpaid", "", "", "")
    return (checkout.expire_session if over else checkout.fetch_session)(signup.checkout_session_id)


@transaction.atomic
def _paid(signup: Signup, profile: UserProfile, session: checkout.CheckoutSession) -> None:
    """Keep the seats and have the subscription mirrored; a payment that is still under way only keeps the seats."""
    held = Seat.objects.filter(profile=profile, state=Seat.State.RESERVED).select_related("product")
    for seat in held:
        allocation.reserve(profile=profile, product=seat.product, until=clock.now() + UNPAID_RESERVATION)
    invitations.served(profile)
    if session.payment_status in PAID:
        _end(signup, Signup.State.PAID)
        audit.record(
            subject=profile.subject,
            action=AuditAction.CHECKOUT_PAID,
            actor=audit.CUSTOMER,
            after={"session": session.id},
        )
    mirror.mirror_later(session.customer_id, reason="checkout completed")


@transaction.atomic
def give_up(signup: Signup) -> None:
    """Release the seats and the username of a signup that was not paid. The profile stays for the address's next try."""
    profile = signup.profile
    _end(signup, Signup.State.EXPIRED)
    if profile is None or profile.keycloak_id or profile.subscription_status:
        return
    if invitations.standing(profile) is None:
        release_unneeded_reservations(profile, keep=[])
    User.objects.filter(pk=profile.user_id).update(username=f"unclaimed-{profile.onboarding_id.hex}")
    audit.record(subject=profile.subject, action=AuditAction.SIGNUP_EXPIRED, after={"signup": str(signup.pk)})


def _end(signup: Signup, state: Signup.State) -> None:
    changes: dict[str, Any] = {"state": state, "ended_at": clock.now()}
    Signup.objects.filter(pk=signup.pk).update(**changes)
    signup.state, signup.ended_at = state, changes["ended_at"]


def release_unneeded_reservations(profile: UserProfile, *, keep: list[Product]) -> None:
    """Holds of an earlier basket that this one does not need."""
    held = (
        Seat.objects.filter(profile=profile, state=Seat.State.RESERVED)
        .exclude(product__in=keep)
        .select_related("product")
    )
    for seat in held:
        allocation.release(profile=profile, product=seat.product)
