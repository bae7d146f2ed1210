"""What changed about disputes, pauses and late payments since the last fetch, told to the timeline and to staff.

Part of the transaction that writes the facts, so that each change is told once.
"""

import datetime as dt
from collections.abc import Callable, Collection, Iterable
from typing import Any

from django.db import transaction

from apps.accounts.models import UserProfile
from apps.billing.ledger import FAILED, Dispute, Invoice, Ledger
from apps.billing.models import Subscription
from apps.billing.parsing import SubscriptionFacts
from apps.core import attention, audit
from apps.core.attention import Cause
from apps.core.audit_actions import AuditAction
from apps.core.models import AttentionItem
from apps.core.money import format_money
from apps.core.states import SubscriptionStatus

# Called in the writing transaction: profile, Stripe's id of the subscription, a digest of what it is for now.
on_plan_changed: list[Callable[[UserProfile, str, str], None]] = []
# Called likewise: profile, Stripe's id of a refund of a payment for a subscription.
on_refunded: list[Callable[[UserProfile, str], None]] = []


def dispute_rows(disputes: Iterable[Dispute]) -> list[dict[str, Any]]:
    """The disputes as `Subscription.disputes` keeps them; `at` in Unix seconds."""
    return [
        {
            "id": one.id,
            "status": "lost" if one.is_lost else "open",
            "amount": one.amount,
            "currency": one.currency,
            "at": int(one.at.timestamp()),
        }
        for one in disputes
    ]


def lost_at(disputes: Iterable[dict[str, Any]]) -> dt.datetime | None:
    """When the newest of the lost disputes was opened."""
    moments = [one["at"] for one in disputes if one["status"] == "lost"]
    return dt.datetime.fromtimestamp(max(moments), tz=dt.UTC) if moments else None


def record_changes(profile: UserProfile, before: Subscription | None, after: Subscription) -> None:
    """Tell what is new of the subscription's disputes, and of a pause of its collection."""
    _tell_of_refunds(profile, before, after)
    if before and before.lines_digest and before.lines_digest != after.lines_digest and _pays(before) and _pays(after):
        for listener in on_plan_changed:
            listener(profile, after.stripe_id, after.lines_digest)
    old = {one["id"]: one for one in before.disputes} if before else {}
    new = {one["id"]: one for one in after.disputes}
    for key, dispute in new.items():
        if old.get(key, {}).get("status") != dispute["status"]:
            _tell_of_dispute(profile, after, dispute)
    for key in old.keys() - new.keys():
        attention.resolve(Cause.DISPUTE, key, why="It was closed in our favor, or paid again.")
        _record(profile, AuditAction.DISPUTE_CLOSED, f"Dispute {key} is closed in our favor, or was paid again.")
    was, is_paused = bool(before and _is_paused(before)), _is_paused(after)
    if is_paused and (not was or (before and before.pause_ends_at != after.pause_ends_at)):
        _tell_of_pause(profile, after, is_new=not was)
    elif was and not is_paused:
        attention.resolve(
            Cause.COLLECTION_PAUSED, after.stripe_id, why="Payments are collected again, or it has ended."
        )
        _record(profile, AuditAction.COLLECTION_RESUMED, f"The pause of {after.stripe_id} is over.")


def _pays(row: Subscription) -> bool:
    return SubscriptionStatus(row.status).pays


def _tell_of_refunds(profile: UserProfile, before: Subscription | None, after: Subscription) -> None:
    """Of those that are new since the last fetch and did not fail."""
    is_known = (
        before is not None and before.paid_for_period is not None
    )  # else its payments are seen for the first time
    known = before.refunds if before and is_known else after.refunds
    for refund_id in sorted(after.refunds.keys() - known.keys()):
        if after.refunds[refund_id] not in FAILED:
            for listener in on_refunded:
                listener(profile, refund_id)


@transaction.atomic
def note_other_disputes(profile: UserProfile, ledger: Ledger, subscriptions: Collection[str]) -> None:
    """Tell of disputes of payments for none of these subscriptions, each state once. They take nothing: no access was paid by them."""
    own = {each.id for one in ledger.invoices if one.subscription_id in subscriptions for each in one.charges}
    others = [each for one in ledger.charges if one.id not in own for each in one.disputes]
    told = AttentionItem.objects.filter(cause=Cause.DISPUTE, key__in=[one.id for one in others])
    sentences = set(told.values_list("sentence", flat=True))
    for dispute in others:
        amount = format_money(dispute.amount, dispute.currency)
        said = f"A payment of {amount} that was for no subscription is disputed ({dispute.id})."
        sentence, action = f"{said} Answer it at Stripe before its deadline. It changes no access.", "opened"
        if dispute.is_lost:
            said = f"Dispute {dispute.id} over {amount} is lost; the payment was for no subscription."
            sentence, action = f"{said} Let the customer pay again if it is still owed. It changes no access.", "lost"
        elif not dispute.is_open:
            if attention.resolve(Cause.DISPUTE, dispute.id, why="It was closed in our favor."):
                _record(profile, AuditAction.DISPUTE_CLOSED, f"Dispute {dispute.id} is closed in our favor.")
            continue
        if sentence not in sentences:
            attention.report(Cause.DISPUTE, dispute.id, sentence, profiles=[profile.pk])
            _record(profile, AuditAction(f"dispute_{action}"), said)


def note_late_payments(profile: UserProfile, ledger: Ledger, subscriptions: Iterable[SubscriptionFacts]) -> None:
    """Tell of what was paid for a time after its subscription had ended: at Stripe nothing begins again by it."""
    ends = {one.id: one.ended_at for one in subscriptions if one.status.ended and one.ended_at}
    late = [one for one in ledger.invoices if (end := ends.get(one.subscription_id)) and one.is_paid_after(end)]
    if late:
        _tell_of_late_payments(profile, late)


@transaction.atomic
def _tell_of_late_payments(profile: UserProfile, late: list[Invoice]) -> None:
    told = AttentionItem.objects.filter(cause=Cause.PAID_AFTER_END, key__in=[one.id for one in late])
    known = set(told.values_list("key", flat=True))
    for one in late:
        left = one.paid - one.returned()
        if left <= 0:
            attention.resolve(Cause.PAID_AFTER_END, one.id, why="It was given back.")
        elif one.id not in known:
            amount = format_money(left, one.currency)
            said = f"{amount} was paid for {one.subscription_id} after it had ended, and gives nothing."
            advice = (
                f"Refund it at Stripe ({one.id}), or grant access on the subscriber's page for the time it pays for."
            )
            attention.report(Cause.PAID_AFTER_END, one.id, f"{said} {advice}", profiles=[profile.pk])


def _is_paused(row: Subscription) -> bool:
    return bool(row.pause) and not SubscriptionStatus(row.status).ended


def _tell_of_dispute(profile: UserProfile, row: Subscription, dispute: dict[str, Any]) -> None:
    amount = format_money(dispute["amount"], dispute["currency"])
    if dispute["status"] == "lost":
        action = AuditAction.DISPUTE_LOST
        said = f"Dispute {dispute['id']} over {amount} of {row.stripe_id} is lost."
        advice = "Let the customer pay the amount again by an invoice, or waive it on the subscriber's page."
    else:
        action = AuditAction.DISPUTE_OPENED
        said = f"A payment of {amount} for {row.stripe_id} is disputed ({dispute['id']})."
        advice = "Answer it at Stripe before its deadline. Access stays as it is until it is decided."
    attention.report(Cause.DISPUTE, dispute["id"], f"{said} {advice}", profiles=[profile.pk])
    _record(profile, action, said)


def _tell_of_pause(profile: UserProfile, row: Subscription, *, is_new: bool) -> None:
    until = f"until {row.pause_ends_at:%d %B %Y}" if row.pause_ends_at else "until somebody resumes it at Stripe"
    said = f"Stripe collects nothing for {row.stripe_id} {until} ({row.pause})."
    attention.report(
        Cause.COLLECTION_PAUSED,
        row.stripe_id,
        f"{said} Resume it at Stripe when it should be paid.",
        profiles=[profile.pk],
    )
    if is_new:
        _record(profile, AuditAction.COLLECTION_PAUSED, said)


def _record(profile: UserProfile, action: AuditAction, reason: str) -> None:
    audit.record(subject=profile.subject, action=action, reason=reason)
