"""How a line of the audit trail reads: whom it is about, and what was different afterwards."""

import datetime as dt
import re
from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Model
from django.urls import reverse

from apps.access.models import AccessFreeze, AccessOverride
from apps.accounts.models import Signup, UserProfile
from apps.billing.models import InboundEvent
from apps.catalog.entitlements import describe_bytes
from apps.catalog.models import Product, ProductPrice
from apps.console.columns import when
from apps.core import audit
from apps.core.models import AttentionItem, AuditEntry, ComparisonRun, Job, RestoreCheck
from apps.core.reason_sentences import reason_sentence
from apps.core.reasons import Reason
from apps.instances.models import Instance, Seat
from apps.onboarding.models import WaitlistEntry
from apps.operations.models import (
    ApprovalRequest,
    CustomerApiKey,
    CustomerImport,
    ImportRow,
    SafeguardReview,
    SeatPlan,
    SyncRun,
    TermsPreview,
)

# The kind of subject, the model whose page it has, and the word for it.
SUBJECTS: dict[str, tuple[type[Model] | None, str]] = {
    "profile": (UserProfile, "subscriber"),
    "instance": (Instance, "instance"),
    "product": (Product, "product"),
    "price": (ProductPrice, "price"),
    "job": (Job, "job"),
    "event": (InboundEvent, "event"),
    "seat": (Seat, "seat"),
    "signup": (Signup, "signup"),
    "override": (AccessOverride, "override"),
    "syncrun": (SyncRun, "sync run"),
    "termspreview": (TermsPreview, "preview of terms"),
    "safeguardreview": (SafeguardReview, "safeguard review"),
    "approvalrequest": (ApprovalRequest, "approval request"),
    "waitlist": (WaitlistEntry, "waitlist entry"),
    "comparison": (ComparisonRun, "comparison"),
    "seatplan": (SeatPlan, "seat plan"),
    "customerapikey": (CustomerApiKey, "API key"),
    "customerimport": (CustomerImport, "import"),
    "importrow": (ImportRow, "row of an import"),
    "attention": (AttentionItem, "attention item"),
    "accessfreeze": (AccessFreeze, "incident"),
    "restorecheck": (RestoreCheck, "restore check"),
    "realm": (None, "realm"),
    "user": (User, "staff"),
}
LONGEST = 120
ROW_IDS = {"membership", "note", "hold", "change"}  # whose values are primary keys
BYTES = {"quota"}
MOMENT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?\+00:00$")


def with_names(entries: Iterable[AuditEntry]) -> list[AuditEntry]:
    """The lines, with the usernames of the subscribers they are about; one query."""
    found = list(entries)
    ids = {int(line.subject_id) for line in found if line.subject_kind == "profile" and line.subject_id.isdigit()}
    names = dict(UserProfile.objects.filter(pk__in=ids).values_list("pk", "user__username")) if ids else {}
    for line in found:
        if line.subject_kind == "profile" and line.subject_id.isdigit():
            line.subject_name = names.get(int(line.subject_id), "")  # type: ignore[attr-defined]
    return found


def subject_of(entry: AuditEntry) -> tuple[str, str]:
    """The name of a line's subject and the address of its page, or an empty address."""
    model, word = SUBJECTS.get(entry.subject_kind, (None, entry.subject_kind))
    text = getattr(entry, "subject_name", "") or f"{word} {entry.subject_id}"
    if model is None:
        return text, ""
    meta = model._meta
    return text, reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[entry.subject_id])


def differences(entry: AuditEntry) -> list[tuple[str, str, str]]:
    """(name, before, after) of every value that differs, as people read it, without the numbers of our own rows."""
    names = sorted(name for name in entry.before.keys() | entry.after.keys() if not name.endswith(audit.FINGERPRINT))
    pairs = [(name, entry.before.get(name), entry.after.get(name)) for name in names]
    told = [
        (name, old, new) for name, old, new in pairs if old != new and not (name in ROW_IDS and isinstance(new, int))
    ]
    return [(name.replace("_", " "), _text(old, name), _text(new, name)) for name, old, new in told]


def _text(value: Any, name: str) -> str:
    if value is None or value in ("", [], {}):
        return "–"
    if name in BYTES and isinstance(value, int):
        return describe_bytes(value)
    if isinstance(value, dict) and (reason := Reason.from_json(value)):
        return reason_sentence(reason)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        value = ", ".join(str(item) for item in value)
    text = str(value)
    if MOMENT.match(text):
        return when(dt.datetime.fromisoformat(text))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
