"""Sending many emails again because staff decided so, which takes two people when they are too many."""

from collections.abc import Iterable

from apps.access.repeated_emails import plan_repetition, send_again
from apps.core.errors import BadInput
from apps.notifications.models import Notification
from apps.operations import approvals
from apps.operations.models import ApprovalRequest

ACTION = ApprovalRequest.Action.SEND_EMAILS_AGAIN


def register() -> None:
    """What can be asked approval of."""
    approvals.register(ACTION, approvals.Approvable("mail_userprofile", send_approved, email_facts))


def send_each_again(emails: Iterable[Notification], *, actor: str, reason: str) -> str:
    """Each that can be; returns how many, and the first reason of the others. BadInput when none can, or too many for one person."""
    chosen, sent, skipped = list(emails), 0, []
    approvals.refuse_alone(ACTION, len(chosen), actor=actor)
    for email in chosen:
        try:
            send_again(email, actor=actor, reason=reason)
            sent += 1
        except BadInput as refusal:
            skipped.append(refusal.message)
    if not sent:
        raise BadInput(skipped[0] if skipped else "There is no email to send.")
    left = f" {len(skipped)} skipped: {skipped[0]}" if skipped else ""
    return f"{sent} email{'s are' if sent != 1 else ' is'} sent again.{left}"


def send_approved(request: ApprovalRequest) -> str:
    """Once it is approved: those that are still there and can be sent."""
    return send_each_again(_emails(request), actor=request.requested_by, reason=request.reason)


def email_facts(request: ApprovalRequest) -> approvals.Facts:
    """How many they are, and how many would be sent."""
    planned = [plan_repetition(one) for one in _emails(request)]
    return [["Emails", str(len(planned))], ["Would be sent", str(sum(not one.refusal for one in planned))]]


def _emails(request: ApprovalRequest) -> Iterable[Notification]:
    found = Notification.objects.filter(pk__in=request.row_ids).order_by("pk")
    return found.select_related("profile__user", "repeats")
