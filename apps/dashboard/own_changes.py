"""What a subscriber changes at Stripe on our pages: the request in their name, and what they read when it was not done.

The refusals of billing are worded for staff; here each code has a sentence for the subscriber.
"""

import re
import uuid
from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from apps.accounts.models import UserProfile
from apps.billing.change_requests import ChangeRequest, OutcomeUnknown
from apps.billing.stripe_refusals import describe_own_decline
from apps.core import audit, limits
from apps.core.errors import BadInput
from apps.onboarding import contracts

REASON = "on the dashboard"
CHANGED = gettext_noop(
    "Nothing was done, because your subscription has changed in the meantime. What you see here may need a moment to follow."
)
SENTENCES = {
    "busy": contracts.BUSY,
    "pending": gettext_noop(
        "A change of your plan waits for its payment. Pay it under Invoices; what isn't paid within a day is forgotten."
    ),
    "not_running": contracts.NOT_RUNNING,
    "refused": gettext_noop(
        "Our payment partner doesn't allow this change, so nothing was done. Please write to us, and we'll help."
    ),
}
UNKNOWN = gettext_noop(
    "Our payment partner didn't answer in time, so we don't know yet whether this was done. Please look at this page again in"
    " a minute before you try once more."
)
TOO_MANY = gettext_noop("You've changed your subscription many times in a short time. Please try again in an hour.")


def new_key() -> str:
    """For a form: what is sent twice is done once."""
    return uuid.uuid4().hex


def request_by(profile: UserProfile, key: str) -> ChangeRequest:
    """The request of a subscriber, by the key of the form."""
    is_key = re.fullmatch(r"[0-9a-f]{32}", key)
    return ChangeRequest(profile=profile, key=key if is_key else new_key(), actor=audit.CUSTOMER, reason=REASON)


def carry_out(request: HttpRequest, profile: UserProfile, change: Callable[[], object]) -> bool:
    """Make the change; False, and the next page says why, when it was not made or nobody knows.

    Raises the other errors of calling_stripe, which the middleware answers.
    """
    if not limits.allow(plan_changes=str(profile.user_id)):
        messages.error(request, _(TOO_MANY))
        return False
    try:
        change()
    except BadInput as refusal:
        messages.error(request, explain(refusal))
    except OutcomeUnknown:
        messages.warning(request, _(UNKNOWN))
    else:
        return True
    return False


def explain(refusal: BadInput) -> str:
    """The sentence for the subscriber."""
    if refusal.code == "declined":
        why = describe_own_decline(refusal.details.get("decline", ""))
        failed = _("The payment didn't go through, and nothing has changed.")
        return f"{failed} {why}"
    return _(SENTENCES.get(refusal.code, CHANGED))
