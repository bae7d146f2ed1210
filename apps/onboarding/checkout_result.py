"""How a signup's checkout ended: a paid one goes on, any other gives back its username and reserved seats.

Promises: we ask Stripe and trust no event; a paid session never expires a signup; checking again is always safe; every wait
has an end. A debit that the bank refuses days later ends the signup, and the person is told how to try again.
"""

import datetime as dt
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import CharField, Exists, OuterRef, Q
from django.db.models.functions import Cast
from django.urls import reverse

from apps.access import reconcile
from apps.access.facts import LONGEST_DEBIT
from apps.accounts.models import Signup, UserProfile
from apps.billing import checkout, mirror, subscriptions
from apps.billing.checkout import FirstPayment
from apps.billing.stripe_client import MissingAtStripe
from apps.catalog.models import Product
from apps.core import audit, clock, jobs
from apps.core.audit_actions import AuditAction
from apps.core.models import Job
from apps.core.states import SubscriptionStatus
from apps.instances import allocation
from apps.instances.capacity import RESERVATION_MARGIN
from apps.instances.models import Seat
from apps.notifications.mail import notify
from apps.onboarding import waitlist

CHECK_CHECKOUT = "check_checkout"  # job kind; its key is the signup's id
SWEEP_SECONDS = 60
UNPAID_RESERVATION = dt.timedelta(days=14)  # bank debits confirm days later
SHORTEST_PAUSE, LONGEST_PAUSE = dt.timedelta(minutes=10), dt.timedelta(days=1)
FAILED_PAUSE = dt.timedelta(hours=6)  # before a check that failed is tried again by itself


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
    """Every minute: check the signups whose Checkout session has ended, oldest first, unless a check waits or has just failed."""
    checks = Job.objects.filter(kind=CHECK_CHECKOUT, key=Cast(OuterRef("pk"), CharField()))
    waiting = Q(state__in=Job.UNFINISHED)
    failed = Q(state__in=Job.GIVEN_UP, finished_at__gt=clock.now() - FAILED_PAUSE)
    ended = Signup.objects.filter(state=Signup.State.CHECKOUT, checkout_expires_at__lte=clock.now())
    for signup in ended.exclude(Exists(checks.filter(waiting | failed))).order_by("checkout_expires_at")[:500]:
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
    """Ask Stripe about the session: a paid signup goes on, an ended or refused one ends, any other is checked again later."""
    signup = Signup.objects.select_related("profile__user").get(pk=signup_id)
    if signup.state != Signup.State.CHECKOUT or signup.profile is None:
        return
    session = fetch_or_close_session(signup)
    if session is not None and session.status == "complete":
        apply_payment(signup, signup.profile, session)
    elif session is None or session.status == "expired":
        expire_signup(signup)
    else:
        check_when_checkout_ends(signup)


def apply_payment(signup: Signup, profile: UserProfile, session: checkout.CheckoutSession) -> None:
    """A completed session: its money has arrived, is on its way, or will never arrive."""
    payment = FirstPayment.PAID if session.is_paid else checkout.fetch_first_payment(session)
    if payment == FirstPayment.PENDING and clock.now() > _opened_at(signup) + LONGEST_DEBIT:
        payment = FirstPayment.REFUSED
    if payment == FirstPayment.PAID:
        accept_payment(signup, profile, session)
    elif payment == FirstPayment.PENDING:
        await_payment(signup, profile, session)
    else:
        if payment == FirstPayment.REFUSED:
            checkout.cancel_incomplete(session)
        fail_signup(signup, profile, session, tell=payment == FirstPayment.REFUSED)


def fetch_or_close_session(signup: Signup) -> checkout.CheckoutSession | None:
    """The session's current state; one past its end is closed first, so that it cannot be paid afterwards."""
    over = signup.checkout_expires_at is not None and clock.now() >= signup.checkout_expires_at
    if not signup.checkout_session_id:
        # We crashed before storing Stripe's answer. Until the session ends, the browser may still come back for it.
        return None if over else checkout.CheckoutSession("", "open", "unpaid", "", "", "")
    return (checkout.expire_session if over else checkout.fetch_session)(signup.checkout_session_id)


@transaction.atomic
def accept_payment(signup: Signup, profile: UserProfile, session: checkout.CheckoutSession) -> None:
    """The money has arrived: the signup is paid, and what Stripe knows of the subscription is fetched, unless we have it."""
    _hold_seats(profile, until=clock.now() + UNPAID_RESERVATION)
    _end_signup(signup, Signup.State.PAID)
    if subscriptions.is_paid(session.subscription_id):  # the events were here first
        reconcile.enqueue(profile, reason="checkout completed")
    else:
        mirror.mirror_later(session.customer_id, reason="checkout completed", importance=Job.Importance.PERSON_WAITS)
    waitlist.mark_signed_up(profile)
    audit.record(
        subject=profile.subject, action=AuditAction.CHECKOUT_PAID, actor=audit.CUSTOMER,
        after={"session": session.id, "terms": signup.terms_version},
    )  # fmt: skip


@transaction.atomic
def await_payment(signup: Signup, profile: UserProfile, session: checkout.CheckoutSession) -> None:
    """The bank will answer in some days: hold the seats until a fixed day, and ask again after a pause that grows."""
    _hold_seats(profile, until=_opened_at(signup) + UNPAID_RESERVATION)
    pause = min(max((clock.now() - _opened_at(signup)) / 2, SHORTEST_PAUSE), LONGEST_PAUSE)
    check_checkout_later(signup, reason="the bank has not answered", not_before=clock.now() + pause)
    mirror.mirror_later(session.customer_id, reason="checkout completed, not paid yet")
    waitlist.mark_signed_up(profile)


def _opened_at(signup: Signup) -> dt.datetime:
    """About when the session was opened; it does not move however often we ask."""
    return (signup.checkout_expires_at or signup.created_at) - dt.timedelta(minutes=settings.CHECKOUT_SESSION_MINUTES)


def _hold_seats(profile: UserProfile, *, until: dt.datetime) -> None:
    reserved = Seat.objects.filter(profile=profile, state=Seat.State.RESERVED).select_related("product")
    for seat in reserved:
        allocation.reserve(profile=profile, product=seat.product, until=until)


@transaction.atomic
def expire_signup(signup: Signup) -> None:
    """Nobody paid: give back the seats and the username, unless it has ended or has another session by now. The profile stays for the
    next try with this address.
    """
    same = Signup.objects.filter(
        pk=signup.pk, state=Signup.State.CHECKOUT, checkout_session_id=signup.checkout_session_id
    )
    if not same.select_for_update().exists():
        return
    _end_signup(signup, Signup.State.EXPIRED)
    if signup.profile is not None:
        _give_back(signup.profile, signup, AuditAction.SIGNUP_EXPIRED)


def end_unpaid_checkout(signup: Signup) -> bool:
    """Close the signup's Checkout at Stripe, then give back what it reserved. False when it has been paid, or goes on elsewhere."""
    if signup.checkout_session_id:
        try:
            session = checkout.expire_session(signup.checkout_session_id)
        except MissingAtStripe:  # nobody can pay it
            session = None
        if session is not None and session.status != "expired":
            check_checkout_later(signup)
            return False
    with transaction.atomic():
        same = Signup.objects.filter(
            pk=signup.pk, state=Signup.State.CHECKOUT, checkout_session_id=signup.checkout_session_id
        )
        fresh = same.select_for_update().first()
        if fresh is not None:
            expire_signup(fresh)
    return fresh is not None


@transaction.atomic
def fail_signup(signup: Signup, profile: UserProfile, session: checkout.CheckoutSession, *, tell: bool) -> None:
    """The first payment was refused: give back the seats and the username, and say how to try again."""
    _end_signup(signup, Signup.State.FAILED)
    _give_back(profile, signup, AuditAction.SIGNUP_FAILED)
    if tell:
        page = "recovery" if profile.is_customer else "onboarding-welcome"
        notify(
            key=f"signup_payment_failed:{signup.pk}",
            template="signup_payment_failed",
            to=signup.email,
            profile=profile,
            context={"first_name": signup.first_name, "url": f"{settings.BASE_URL}{reverse(page)}"},
        )
    mirror.mirror_later(session.customer_id, reason="the first payment failed")


def _give_back(profile: UserProfile, signup: Signup, action: AuditAction) -> None:
    """Release what was reserved, unless the person pays already; the username only of somebody who has no account."""
    if SubscriptionStatus(profile.subscription_status).pays:
        return
    if waitlist.invited_until(profile) is None:
        release_unneeded_reservations(profile, needed=[])
    if profile.is_customer:
        reconcile.enqueue(profile, reason="its payment did not come")  # what was kept for it may be due for release
    else:
        User.objects.filter(pk=profile.user_id).update(username=f"unclaimed-{profile.onboarding_id.hex}")
        UserProfile.objects.filter(pk=profile.pk).update(proven_keycloak_id="")
        audit.record(subject=profile.subject, action=action, after={"signup": str(signup.pk)})


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
