"""What a dialog does with something that one person may not do alone: what was filled in becomes a request for approval."""

import hashlib
from typing import Any

from django.conf import settings

from apps.console.columns import when
from apps.console.dialogs import ReasonDialog
from apps.operations import approvals
from apps.operations.models import ApprovalRequest


def ask(form: ReasonDialog, action: ApprovalRequest.Action, **asked: Any) -> str:
    """Ask for what the form says; the request's page is shown afterwards. Returns the sentence for staff."""
    form.leads_to = made = approvals.ask(action, **asked, **form.why)
    return f"Nothing is done yet: {made} waits for approval by another person, until {when(made.expires_at)}."


def name_rows(ids: list[int]) -> str:
    """The same rows by the same short name, so that they are asked about once."""
    return f"rows:{hashlib.sha256(repr(sorted(ids)).encode()).hexdigest()[:40]}"


def needs_second(form: ReasonDialog, action: ApprovalRequest.Action, count: int) -> bool:
    """Whether the service would refuse it to the person who fills in the dialog."""
    return approvals.needs_second(action, count, actor=form.actor)


def describe_limit(form: ReasonDialog, action: ApprovalRequest.Action, count: int) -> dict[str, Any]:
    """For a dialog about so many, in console/dialogs/two_people.html."""
    return describe_limit_of(form.actor, action, count)


def describe_limit_of(actor: str, action: ApprovalRequest.Action, count: int) -> dict[str, Any]:
    """The same where a part of a dialog comes by itself."""
    return {
        "two_people": approvals.needs_second(action, count, actor=actor),
        "alone": settings.TWO_PEOPLE_ABOVE,
    }
