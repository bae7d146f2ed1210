"""More invitations from the waitlist at once than one person may send: asked for here, sent by a job once another has approved.

Onboarding sends them and knows nothing of approvals, which are beside it: the rule is handed down in `invitations.before_many`.
"""

import uuid
from collections.abc import Collection

from apps.catalog.models import Product
from apps.onboarding import invitations, waitlist
from apps.onboarding.models import WaitlistEntry
from apps.operations import approvals
from apps.operations.models import ApprovalRequest

ACTION = ApprovalRequest.Action.INVITE_NEXT


def register() -> None:
    """What can be asked approval of, and who may not be invited without it."""
    approvals.register(ACTION, approvals.Approvable("allocate_seat", invite_approved, invitation_facts, by_job=True))
    invitations.before_many.append(refuse_many)


def refuse_many(count: int, actor: str) -> None:
    approvals.refuse_alone(ACTION, count, actor=actor)


def describe_invited(invited: int, refusals: Collection[str]) -> str:
    """How many were invited, and why the others were not."""
    said = f"{invited} {'address is' if invited == 1 else 'addresses are'} invited."
    return f"{said} {len(refusals)} not: {' '.join(sorted(set(refusals)))}" if refusals else said


def invite_approved(request: ApprovalRequest) -> str:
    """Once it is approved: those who still wait. Run again after a crash, it invites the rest."""
    ids = [uuid.UUID(one) for one in request.terms["entries"]]
    invited_before = set(
        WaitlistEntry.objects.filter(pk__in=ids, state=WaitlistEntry.State.INVITED).values_list("pk", flat=True)
    )
    waiting = [one for one in ids if one not in invited_before]
    count, refusals = invitations.invite_all(waiting, actor=request.requested_by, reason=request.reason)
    return describe_invited(len(invited_before) + count, refusals)


def invitation_facts(request: ApprovalRequest) -> approvals.Facts:
    """Whose line it is, how many would be invited, and how many of them still wait."""
    ids, line = request.terms["entries"], request.terms["product"]
    name = Product.objects.filter(pk=line).values_list("name", flat=True).first() if line else None
    still = waitlist.in_line(WaitlistEntry.objects.filter(pk__in=ids)).count()
    return [["Waits for", name or "Anything"], ["Addresses", str(len(ids))], ["Still in line", str(still)]]
