"""Which emails a decision calls for: about a state that changed, about what comes, and about a payment that failed.

Each is a job (lifecycle_emails.py) with a key that says what it is about, so that asking again does nothing. What comes is asked for
when it is still far away, for the day on which it is to be sent; the job looks again whether it is still true.
"""

import datetime as dt
from collections.abc import Iterable

from django.db.models import Q

from apps.access import lifecycle_emails
from apps.access.policy import Decision
from apps.access.upcoming import Change, Upcoming
from apps.accounts.models import UserProfile
from apps.billing import covered_events, refused_debits, subscriptions
from apps.billing.models import Subscription
from apps.core import audit, clock, jobs, restores
from apps.core.audit_actions import AuditAction
from apps.core.reasons import Reason, ReasonCode
from apps.core.states import AccessState, SubscriptionStatus
from apps.notifications.models import Notification

LATE = {ReasonCode.PAYMENT_LATE, ReasonCode.UNPAID}
DAY = dt.timedelta(days=1)
# How many days before a change its emails are sent.
LEADS = {
    lifecycle_emails.TRIAL_ENDING: (7, 1),
    lifecycle_emails.SHARED_TRIAL_ENDING: (7, 1),
    lifecycle_emails.EXPIRY_REMINDER: (14, 7, 1),
    lifecycle_emails.ACCESS_ENDS: (1,),
}
ONCE = {lifecycle_emails.SHARED_TRIAL_ENDING}  # sent on the first of its days that is still ahead, and not again


def announce_change(profile: UserProfile, decision: Decision, before: AccessState, why: Reason | None) -> None:
    """Ask for the email about a state that is another one now. `why`: the reason of the former one."""
    state, now, is_shared = decision.state, clock.now(), decision.reason.is_shared
    if state == AccessState.CANCELED and before.is_told_of_cancellation:
        kind = lifecycle_emails.SHARED_ENDED if is_shared else lifecycle_emails.CANCELED
        jobs.defer(kind, f"{profile.pk}:{decision.subscription_id}", reason="canceled")
    if state == AccessState.SUSPENDED and before.has_access and is_shared:
        # Of their own payments people hear when one fails; nobody else tells those for whom another one pays.
        jobs.defer(lifecycle_emails.SHARED_PAUSED, dated(profile, now), reason="not paid for")
    if state == AccessState.EXPIRED and decision.final_expiry_at:
        jobs.defer(lifecycle_emails.EXPIRED, dated(profile, decision.final_expiry_at), reason="expired")
    if state != AccessState.ACTIVE or decision.reason.code != ReasonCode.PAID:
        return
    if why is not None and why.code in LATE and not why.is_shared:
        jobs.defer(lifecycle_emails.PAYMENT_RECOVERED, dated(profile, now), reason="the payment has arrived")
    elif before.is_recoverable or before == AccessState.EXPIRED:
        jobs.defer(lifecycle_emails.RECOVERED, dated(profile, now), reason="access is back")


def announce_coming(profile: UserProfile, state: AccessState, ahead: Iterable[Upcoming]) -> None:
    """Ask for the emails about what will change by itself, each for its day; what is nearer than that was told otherwise."""
    now = clock.now()
    for one in ahead:
        if one.change == Change.SUBSCRIPTION_ENDS and not one.is_shared:
            _tell_of_cancellation(profile, one)
        kind = _email_about(one, state)
        for days in LEADS[kind] if kind else ():
            if one.at - days * DAY > now:
                key = dated(profile, one.at) if kind in ONCE else f"{dated(profile, one.at)}:{days}"
                jobs.defer(kind, key, reason=f"{days} days before", not_before=one.at - days * DAY)
                if kind in ONCE:
                    break


def _email_about(one: Upcoming, state: AccessState) -> str:
    """The job kind of the email about a change to come; empty for none."""
    if one.is_shared and one.change == Change.TRIAL_LAPSES:
        return lifecycle_emails.SHARED_TRIAL_ENDING if one.is_loss else ""
    if one.change in {Change.TRIAL_ENDS, Change.TRIAL_LAPSES}:
        return lifecycle_emails.TRIAL_ENDING
    if one.change == Change.FINAL_EXPIRY:
        return lifecycle_emails.EXPIRY_REMINDER if state.awaits_expiry else ""
    ends_access = one.is_loss and not state.is_closed and one.sentence
    return lifecycle_emails.ACCESS_ENDS if ends_access else ""


def _tell_of_cancellation(profile: UserProfile, one: Upcoming) -> None:
    """One email for each date at which a subscription is to end, and another after it was taken back: it is the receipt."""
    taken_back = (
        audit.entries_about(profile.subject)
        .filter(action=AuditAction.CANCELLATION_UNDONE, after__at_stripe=one.about)
        .count()
    )
    key = dated(profile, one.at) + (f":{taken_back}" if taken_back else "")
    if profile.imported_at and not taken_back and _left_before_import(profile, one):
        return
    if _is_confirmed(profile, one):
        return
    if not Notification.objects.filter(key=f"cancellation_scheduled:{key}").exists():
        jobs.defer(lifecycle_emails.CANCELLATION, key, reason="canceled for later")


def _is_confirmed(profile: UserProfile, one: Upcoming) -> bool:
    """Whether this very end was confirmed when its customer stated it (onboarding/contracts.py), and not taken back since."""
    stated = Q(action=AuditAction.CONTRACT_CANCELED, after__contains={"subscription": one.about})
    undone = Q(action=AuditAction.CANCELLATION_UNDONE, after__contains={"at_stripe": one.about})
    lines = audit.entries_about(profile.subject).filter(stated | undone)
    newest = lines.order_by("-id").first()
    return newest is not None and newest.after.get("ends_on") == one.at.date().isoformat()


def ending(subscription_id: str, at: dt.datetime) -> str:
    """How the line about an import names an end that was announced before it."""
    return f"{subscription_id}:{int(at.timestamp())}"


def _left_before_import(profile: UserProfile, one: Upcoming) -> bool:
    """Whether this end was known when the person was imported: who canceled elsewhere has been told there."""
    known = audit.entries_about(profile.subject).filter(
        action=AuditAction.SUBSCRIBER_IMPORTED,
        after__ends__contains=[ending(one.about, one.at)],
    )
    return known.exists()


def _was_before_import(profile: UserProfile, moment: dt.datetime | None) -> bool:
    return profile.imported_at is not None and moment is not None and moment <= profile.imported_at


def tell_of_failed_payments(profile: UserProfile) -> None:
    """One email per unpaid invoice, whether or not its event ever arrived."""
    for one in subscriptions.read_subscriptions(profile.stripe_customer_id):
        if SubscriptionStatus(one.status).is_late and one.open_invoice_id:
            key = f"{profile.pk}:{one.open_invoice_id}"
            kind, name = lifecycle_emails.PAYMENT_FAILED, "payment_failed"
            if covered_events.is_confirmation_asked(one.open_invoice_id):
                kind, name = lifecycle_emails.ACTION_REQUIRED, "payment_action_required"
            elif refused_debits.find_refused_debit(profile.stripe_customer_id, one.open_invoice_id):
                kind, name = lifecycle_emails.DEBIT_REFUSED, "debit_refused"
            told = Notification.objects.filter(key=f"{name}:{key}").exists() or _was_before_import(
                profile, one.past_due_since
            )
            if not told and not restores.was_lost(one.past_due_since):
                jobs.defer(kind, key, reason=f"{one.id} is {one.status}")


def welcome(profile: UserProfile) -> None:
    """Ask for the first email to somebody whose account is ready, once for each subscription that opened it.

    A minute later: Keycloak's email about the password comes first, and nobody who waits for access waits for emails.
    """
    key, soon = f"{profile.pk}:{profile.stripe_subscription_id}", clock.now() + dt.timedelta(minutes=1)
    jobs.defer(lifecycle_emails.WELCOME, key, reason="first sync", not_before=soon)


def plan_changed(profile: UserProfile, subscription_id: str, lines: str) -> None:
    """Somebody pays for something else now. A minute later, so that several changes in a row are one email."""
    key = f"{profile.pk}:{subscription_id}:{lines}:{clock.now():%Y-%m-%d}"
    soon = clock.now() + dt.timedelta(minutes=1)
    jobs.defer(lifecycle_emails.PLAN_CHANGED, key, reason="another plan", not_before=soon)


def refunded(profile: UserProfile, refund_id: str) -> None:
    """Money of a subscription went back. A minute later: by then the amount and what follows from it are known."""
    soon = clock.now() + dt.timedelta(minutes=1)
    jobs.defer(lifecycle_emails.REFUNDED, f"{profile.pk}:{refund_id}", reason="refunded", not_before=soon)


def second_found(profile: UserProfile, subscription_id: str) -> None:
    """Somebody pays for a second subscription."""
    began = Subscription.objects.filter(stripe_id=subscription_id).values_list("stripe_created_at", flat=True).first()
    if _was_before_import(profile, began):
        return
    jobs.defer(lifecycle_emails.DUPLICATE, f"{profile.pk}:{subscription_id}", reason="a second subscription")


def dated(profile: UserProfile, moment: dt.datetime) -> str:
    """The key of what is about a moment."""
    return f"{profile.pk}:{int(moment.timestamp())}"
