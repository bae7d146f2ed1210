"""What of a row about a person goes into their copy: nothing that is about somebody else (GDPR, article 15 (4)).

Promises: no secret, no number, name or address of another person, and no name of staff is in it; what staff wrote about several people at
once stays out, also where it names this one.
"""

import re
from typing import Any

from django.contrib.auth.models import User
from django.db import models

from apps.accounts.models import Membership, UserProfile
from apps.core import attention
from apps.core.audit_actions import AuditAction
from apps.core.models import AttentionItem, AuditEntry
from apps.notifications.models import Notification

SECRET = {"password", "encrypted", "session_key"}
PEOPLE = {User, UserProfile}
STAFF_NAME = re.compile(r"\bstaff:[\w.@+-]*\w")  # as the audit trail names them
ATTENTION_DATES = ("cause", "times", "first_at", "last_at", "resolved_at")  # the rest is how staff work, and for whom
OTHERS = {"member", "payer"}  # what emails say of those for whom somebody pays, and of who pays for them
ABOUT_TWO = {AuditAction.MEMBER_JOINED, AuditAction.MEMBERSHIP_ENDED}  # written for who pays and for the member alike


def copy_row(row: models.Model, profile: UserProfile) -> dict[str, Any]:
    """What the copy of this person says of a row: texts, numbers, lists or None, by the names of its columns."""
    values: dict[str, Any] = {
        one.attname: _own_key(one, row, profile) if one.related_model in PEOPLE else _plain(one.value_from_object(row))
        for one in row._meta.concrete_fields
        if one.name not in SECRET
    }
    if isinstance(row, AttentionItem):
        kept = (*ATTENTION_DATES, "sentence") if _is_about_alone(row, profile) else ATTENTION_DATES
        return {name: values[name] for name in kept}
    if isinstance(row, AuditEntry) and row.action in ABOUT_TWO:
        values["reason"] = ""
    if isinstance(row, Membership) and row.payer_id == profile.pk:
        values["email"] = ""  # of whom they have invited
    if isinstance(row, Notification):
        values["context"] = {name: one for name, one in (values["context"] or {}).items() if name not in OTHERS}
    return values


def _own_key(field: models.Field[Any, Any], row: models.Model, profile: UserProfile) -> int | None:
    """The number of the person; None instead of anybody else's."""
    own, found = profile.pk if field.related_model is UserProfile else profile.user_id, field.value_from_object(row)
    return own if found == own else None


def _is_about_alone(item: AttentionItem, profile: UserProfile) -> bool:
    return item.cause in attention.ABOUT_ONE_PERSON and item.profile_ids == [profile.pk]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value if isinstance(value, int | float | None) else STAFF_NAME.sub("staff", str(value))
