"""Which columns hold personal data, and how each is shown to staff without the right to see it. tests/console/test_masking.py has the others.

Also who such staff are: those who lack `see_personal_data`, as viewers do.
"""

import json
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Model

from apps.access.models import AccessFreeze, AccessOverride, HeldBackLoss, LastSync, TermsChange
from apps.accounts.models import ErasureAttempt, LegalHold, Membership, PrivacyRequest, Signup, StaffNote, UserProfile
from apps.billing.models import InboundEvent, Subscription
from apps.billing.stripe_objects import MIRRORED
from apps.core import masking
from apps.core.masking import EMAIL, FREE_TEXT, NAME, RECORD, SENTENCES, USERNAME, Mask
from apps.core.models import AttentionItem, AuditEntry, ComparisonRun, Dependency, Job, LawCheck, Outage, RestoreCheck
from apps.instances.models import WebhookDelivery
from apps.notifications.models import Notification
from apps.onboarding.models import WaitlistEntry
from apps.operations.drift import USERNAME_STEP
from apps.operations.models import (
    ApprovalRequest,
    CustomerImport,
    Drift,
    ImportRow,
    SafeguardReview,
    SeatMove,
    SeatPlan,
    SyncResult,
    SyncRun,
    TermsPreview,
)

RIGHT = "accounts.see_personal_data"
OF_ALL = {"Product", "Price"}  # objects at Stripe that are about nobody


def is_shown_to(user: Any) -> bool:
    """Whether they see personal data."""
    return bool(user.is_authenticated and user.has_perm(RIGHT))


def _account(text: str) -> str:
    """A username or an address, whichever differs."""
    return (EMAIL if "@" in text else USERNAME).show(text)


def _step(text: str) -> str:
    """A step of drift names the username to take over, or an address."""
    before, after = USERNAME_STEP.split("{}")
    if text.startswith(before) and text.endswith(after):
        return USERNAME_STEP.format(USERNAME.show(text.removeprefix(before).removesuffix(after)))
    return SENTENCES.show(text)


def _body(text: str) -> str:
    """An event as it came; what is no JSON is hidden whole."""
    try:
        found = json.loads(text)
    except ValueError:
        return masking.HIDDEN
    with masking.masked():
        return json.dumps(masking.mask(RECORD, found), ensure_ascii=False)


PERSONAL: dict[type[Model], dict[str, Mask]] = {
    User: {"username": USERNAME, "first_name": NAME, "last_name": NAME, "email": EMAIL},
    UserProfile: {"email": EMAIL},
    Signup: {"first_name": NAME, "last_name": NAME, "username": USERNAME, "email": EMAIL},
    WaitlistEntry: {"email": EMAIL},
    Notification: {"to": EMAIL, "context": RECORD, "error": SENTENCES, "delivery_reason": SENTENCES},
    Membership: {"email": EMAIL},
    StaffNote: {"text": FREE_TEXT},
    # --- what staff type: why, and what came of it
    AccessOverride: {"reason": FREE_TEXT},
    TermsChange: {"reason": FREE_TEXT},
    PrivacyRequest: {"note": FREE_TEXT, "outcome": FREE_TEXT},
    LegalHold: {"reason": FREE_TEXT, "end_reason": FREE_TEXT},
    ApprovalRequest: dict.fromkeys(("reason", "decision_reason", "outcome"), FREE_TEXT) | {"facts": SENTENCES, "terms": SENTENCES},
    AuditEntry: {"reason": FREE_TEXT, "before": SENTENCES, "after": SENTENCES},
    AttentionItem: {"sentence": SENTENCES, "resolution": FREE_TEXT, "decision": FREE_TEXT},
    SyncRun: {"reason": FREE_TEXT},
    TermsPreview: {"reason": FREE_TEXT},
    SafeguardReview: {"reason": FREE_TEXT},
    SeatPlan: {"reason": FREE_TEXT},
    CustomerImport: {"reason": FREE_TEXT, "name": FREE_TEXT},
    ImportRow: {
        "email": EMAIL, "username": USERNAME, "first_name": NAME, "last_name": NAME, "account": RECORD, "customers": RECORD,
        "why": SENTENCES, "note": SENTENCES, "problem": SENTENCES,
    },
    SeatMove: {"answer_reason": FREE_TEXT, "problem": SENTENCES},
    ComparisonRun: {"reason": FREE_TEXT, "items": SENTENCES},
    RestoreCheck: {"reason": FREE_TEXT, "evidence": SENTENCES, "strangers": SENTENCES},
    AccessFreeze: {"reason": SENTENCES},  # the banner tells it to all staff, and it is about nobody
    # --- what we and other systems say
    Drift: {"keycloak_value": Mask(_account), "steps": Mask(_step)},
    HeldBackLoss: {"why": SENTENCES, "steps": SENTENCES},
    LastSync: {"steps": SENTENCES},
    SyncResult: {"steps": SENTENCES},
    ErasureAttempt: {"refusal": SENTENCES},
    Job: {"reason": SENTENCES, "last_error": SENTENCES, "history": SENTENCES},
    LawCheck: {"violations": SENTENCES, "reason": SENTENCES},
    Dependency: {"reason": SENTENCES},
    Outage: {"reason": SENTENCES},
    WebhookDelivery: {"answer": SENTENCES},
    # --- Stripe's
    InboundEvent: {"body": Mask(_body)},
    Subscription: {"open_invoice_url": FREE_TEXT},
}  # fmt: skip
AT_STRIPE = {"stripe_data": RECORD, "metadata": RECORD, "description": FREE_TEXT, "email": EMAIL}


def declare() -> None:
    """Make them known to the database layer; once, at the start."""
    for model, masks in PERSONAL.items():
        masking.declare(model, masks)
    for mirrored in MIRRORED:
        if mirrored.__name__ not in OF_ALL:
            names = {field.name for field in mirrored._meta.get_fields()}  # type: ignore[attr-defined]
            masking.declare(mirrored, {name: one for name, one in AT_STRIPE.items() if name in names})
