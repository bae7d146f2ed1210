"""The way back for a subscriber whose access has ended: open the recovery window, say what to do next, take the payment.

Promises: a confirmed address opens the account but no apps (policy row 5); recovery never lifts a hold; the same Stripe
customer pays today's prices for the same products; there is never a second living subscription; while a payment is open,
nothing that was kept is released. Paying gives access through the reconciler, like any other payment.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from apps.access import facts, lifecycle_emails, reconcile, sharing
from apps.access.forecast import forecast
from apps.access.policy import Decision, decide
from apps.access.upcoming import Upcoming, told
from apps.accounts.models import Signup, UserProfile
from apps.billing import checkout, customers, mirror, portal, subscriptions
from apps.catalog.models import Product, ProductPrice
from apps.catalog.product_entitlements import entitlements_by_product
from apps.core import audit, clock, jobs
from apps.core.audit_actions import AuditAction
from apps.core.dates import day
from apps.core.errors import BadInput
from apps.core.states import AccessState, SubscriptionStatus
from apps.onboarding import checkout_attempt, checkout_result

SEND_CODE = "send_recovery_code"  # the job that emails a code because staff asked; it works in any browser
PAGE = "/recovery/"
RECEIVED = gettext_noop("We've received your payment. Your apps will open in a moment.")
DEBITED = gettext_noop(
    "Your bank is still confirming your payment, which can take a few days. We'll email you if it doesn't go through."
)


class NextStep(StrEnum):
    """What the subscriber can do to get back in."""

    RENEW = "renew"
    PAY = "pay"
    PORTAL = "portal"
    LOG_IN = "log_in"
    CONTACT = "contact"
    SIGN_UP_AGAIN = "sign_up_again"


PAYING = {NextStep.RENEW, NextStep.PAY, NextStep.PORTAL}


@dataclass(frozen=True)
class FormerItem:
    """One line of the last subscription: its product (None: no longer mapped) and quantity."""

    product: Product | None
    quantity: int


@dataclass(frozen=True)
class RecoveryStatus:
    """The account's state and next step.

    `final_at`: when seats and entitlements go; `invoice_url`: the open invoice; `upcoming`: what happens if
    nobody pays, or when a hold ends.
    """

    state: AccessState
    next_step: NextStep
    items: tuple[FormerItem, ...]
    interval: str
    final_at: dt.datetime | None
    invoice_url: str = ""
    upcoming: tuple[Upcoming, ...] = ()

    @property
    def final_day(self) -> str:
        """The final date as text; empty without one."""
        return day(self.final_at) if self.final_at else ""


def read_status(profile: UserProfile) -> RecoveryStatus:
    """What `profile` can do now, from our own rows."""
    found = _was_paid(subscriptions.read_subscriptions(profile.stripe_customer_id))
    if profile.membership_id is not None:  # what somebody else has paid for can be bought by themselves
        shared = sharing.read_sharing([profile.pk], entitlements_by_product())
        found += _was_paid(shared.states.get(profile.pk, ()))
    # Without the open payment: it keeps what there is, it opens nothing.
    present = replace(facts.read_facts(profile), paying=None)
    decision = decide(present)
    last = max(
        found,
        key=lambda one: (_is_own_debt(one), one.ended_at or clock.now(), not one.is_shared, one.id),
        default=None,
    )
    lines = [line for line in last.lines if line.quantity] if last else []
    next_step = _choose_next_step(decision, last)
    return RecoveryStatus(
        state=decision.state,
        next_step=next_step,
        items=_former_items(lines),
        interval=next((line.interval for line in lines if line.interval), "month"),
        final_at=decision.final_expiry_at,
        invoice_url=last.open_invoice_url if last and SubscriptionStatus(last.status).is_late else "",
        upcoming=told(forecast(present)) if next_step in PAYING or decision.state == AccessState.ON_HOLD else (),
    )


def _is_own_debt(one: subscriptions.SubscriptionState) -> bool:
    return not one.is_shared and SubscriptionStatus(one.status).is_late


def _was_paid(states: Iterable[subscriptions.SubscriptionState]) -> list[subscriptions.SubscriptionState]:
    """Without a first payment that failed, which is nobody's last subscription."""
    return [one for one in states if SubscriptionStatus(one.status).was_paid]


def _former_items(lines: list[subscriptions.SubscriptionLine]) -> tuple[FormerItem, ...]:
    """What was paid for, each product once: old subscriptions have it on several lines."""
    products = Product.objects.in_bulk([line.product_id for line in lines if line.product_id])
    counted = Counter[int | None]()
    for line in lines:
        counted[line.product_id] += line.quantity
    return tuple(FormerItem(products.get(one or 0), quantity) for one, quantity in counted.items())


def _choose_next_step(decision: Decision, last: subscriptions.SubscriptionState | None) -> NextStep:
    if decision.state.has_access:
        return NextStep.LOG_IN
    if decision.state == AccessState.EXPIRED:
        return NextStep.SIGN_UP_AGAIN
    if decision.state in {AccessState.ON_HOLD, AccessState.NONE} or last is None:
        return NextStep.CONTACT
    if last.is_shared:
        return NextStep.RENEW
    if last.money_returned:
        return NextStep.CONTACT
    if last.pause and SubscriptionStatus(last.status).gives_access:  # only staff resume what they paused
        return NextStep.CONTACT
    if last.status == "canceled":
        return NextStep.RENEW
    return NextStep.PAY if last.open_invoice_url else NextStep.PORTAL


WINDOW_REFUSALS = {
    AccessState.ON_HOLD: "The account is on hold. Only staff or the hold's end date can lift it.",
    AccessState.EXPIRED: "The account has expired. The customer has to sign up again.",
    AccessState.NONE: "This account has never been paid for.",
    AccessState.ACTIVE: "The account is open. Logging in is enough.",
    AccessState.GRACE: "The account is open. Logging in is enough.",
}


@transaction.atomic
def open_window(profile: UserProfile, *, actor: str, reason: str) -> dt.datetime:
    """Let a subscriber in to pay, for as long as the terms say, or until the final expiry; returns until when.

    BadInput unless access ended by billing and can still come back.
    """
    present = facts.read_facts(profile)
    decision = decide(present)
    if decision.state in WINDOW_REFUSALS:
        raise BadInput(WINDOW_REFUSALS[decision.state], code=f"state_{decision.state}")
    until = clock.now() + present.recovery_window
    if decision.final_expiry_at:
        until = min(until, decision.final_expiry_at)  # nothing opens beyond it
    _set_window(profile, until, action=AuditAction.RECOVERY_OPENED, actor=actor, reason=reason)
    jobs.defer(lifecycle_emails.RECOVERY_OPENED, f"{profile.pk}:{int(until.timestamp())}", reason=reason)
    return until


@transaction.atomic
def close_window(profile: UserProfile, *, actor: str, reason: str) -> None:
    """Close the window now; BadInput when none is open."""
    if profile.recovering_until is None or profile.recovering_until <= clock.now():
        raise BadInput("No recovery is open.", code="not_open")
    _set_window(profile, None, action=AuditAction.RECOVERY_CLOSED, actor=actor, reason=reason)


def _set_window(
    profile: UserProfile, until: dt.datetime | None, *, action: AuditAction, actor: str, reason: str
) -> None:
    before = profile.recovering_until
    profile.recovering_until = until
    profile.save(update_fields=["recovering_until"])
    reconcile.enqueue(profile, reason=action.replace("_", " "))
    audit.record(
        subject=profile.subject,
        action=action,
        actor=actor,
        reason=reason,
        before={"until": before.isoformat() if before else None},
        after={"until": until.isoformat() if until else None},
    )


def payment_url(profile: UserProfile) -> str:
    """Where to pay: the open invoice, Stripe's page for a new card, or a Checkout for the former products.

    BadInput when there is nothing to pay, and the errors of billing when Stripe is away.
    """
    status = read_status(profile)
    if status.next_step == NextStep.PAY:
        return status.invoice_url
    if status.next_step == NextStep.PORTAL:
        return portal.open_payment_method(profile=profile, return_url=f"{settings.BASE_URL}{PAGE}")
    if status.next_step != NextStep.RENEW:
        raise BadInput(_("There's nothing to pay here."), code=f"next_step_{status.next_step}", status=409)
    return _renewal_url(profile, status)


def _renewal_url(profile: UserProfile, status: RecoveryStatus) -> str:
    """The open Checkout of this subscriber, or a new one."""
    prices = current_prices(status)
    customer = customers.ensure_customer(profile)
    signup = Signup.objects.filter(profile=profile, state=Signup.State.CHECKOUT).order_by("-created_at").first()
    if signup is not None and signup.checkout_session_id:
        session = checkout.fetch_session(signup.checkout_session_id)
        if session.status == "open" and session.url and session.customer_id == customer:
            return session.url
        if session.status == "open":
            session = checkout.expire_session(session.id)
        checkout_result.check_checkout_later(signup, reason="its session is no longer open")
        if session.status == "complete":
            raise BadInput(_(RECEIVED if session.is_paid else DEBITED), code="paid", status=409)
    if checkout.has_running_subscription(customer):
        mirror.mirror_later(customer, reason="a recovery found a running subscription")
        raise BadInput(
            _("Your subscription is already active. Your apps will open in a moment."), code="paid", status=409
        )
    busy = BadInput(_("Your payment is already opening. Please try again in a moment."), code="busy", status=409)
    signup = _start_attempt(profile, status, unfinished=signup, conflict=busy)
    pages = checkout.CheckoutPages(embedded=False, success=PAGE, cancel=PAGE)
    try:
        return checkout_attempt.open_session(signup, profile, prices=prices, pages=pages).url
    except checkout_attempt.AttemptReplaced as error:
        raise busy from error


def current_prices(status: RecoveryStatus) -> list[tuple[ProductPrice, int]]:
    """Today's prices of the same products at the same interval; BadInput when one of them is no longer sold."""
    wanted = {item.product.pk: item.quantity for item in status.items if item.product is not None}
    found = ProductPrice.objects.filter(
        product__in=wanted, product__is_active=True, is_active=True, interval=status.interval
    ).select_related("product")
    prices = [(price, wanted[price.product_id]) for price in found.order_by("product__position", "pk")]
    if not prices or len(prices) != len(status.items):
        raise BadInput(
            _("Part of your old plan is no longer sold. Please write to us, and we'll help you find a new one."),
            code="gone",
            status=409,
        )
    return prices


@transaction.atomic
def _start_attempt(
    profile: UserProfile, status: RecoveryStatus, *, unfinished: Signup | None, conflict: BadInput
) -> Signup:
    """The signup behind the Checkout, with a new attempt. While it is open, nothing that was kept is released."""
    # The lock of an erasure: who is erased meanwhile has another customer, or none.
    if not UserProfile.objects.select_for_update().filter(pk=profile.pk, stripe_customer_id=profile.stripe_customer_id):
        raise conflict
    signup = None
    if unfinished is not None:
        checking_out = Signup.objects.select_for_update().filter(state=Signup.State.CHECKOUT)
        signup = checking_out.filter(pk=unfinished.pk).first()
    if signup is None:
        signup = signup_of(profile)
        signup.interval = status.interval
        signup.basket = {item.product.slug: item.quantity for item in status.items if item.product}
    checkout_attempt.number_attempt(signup)
    checkout_attempt.save_attempt(signup, conflict=lambda _error: conflict)
    checkout_result.check_when_checkout_ends(signup)
    reconcile.enqueue(profile, reason="a payment to come back is open")
    return signup


def signup_of(profile: UserProfile) -> Signup:
    """A new signup, not saved, of an existing subscriber whose address is confirmed."""
    return Signup(
        profile=profile,
        first_name=profile.user.first_name,
        last_name=profile.user.last_name,
        username=profile.user.username,
        email=profile.email,
        email_proven_at=clock.now(),
        created_at=clock.now(),
    )
