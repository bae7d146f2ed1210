"""A subscriber's copy of their own data (GDPR, articles 15 and 20): asked for on their page, made by a job, gone after a week.

Promises: it holds what staff would hand out, `privacy.export`; it lies encrypted, is shown to nobody but the person after a fresh
login, and is no part of the email that says that it is ready; each request and each time it is taken away is in the audit trail.
"""

import datetime as dt
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from apps.accounts.models import UserProfile
from apps.core import audit, clock, encryption, jobs, languages, limits, retention
from apps.core.audit_actions import AuditAction
from apps.core.dates import day
from apps.core.errors import BadInput
from apps.notifications.mail import notify
from apps.operations import privacy
from apps.operations.models import DataCopy

KIND = "prepare_data_copy"
REASON = "on the account page"
Exported = dict[str, list[dict[str, Any]]]


def register() -> None:
    """The job, and our row of the retention table."""
    jobs.register(KIND, prepare, label="Prepare a copy of the data")
    retention.register("data_copies", lambda before: retention.delete_in_batches(outdated(before)), outdated)


def outdated(before: dt.datetime) -> QuerySet[DataCopy]:
    """Copies of before then: they have expired, or were never made."""
    return DataCopy.objects.filter(Q(ready_at__lt=before) | Q(ready_at=None, requested_at__lt=before))


@transaction.atomic
def request(profile: UserProfile) -> DataCopy:
    """Ask for a new copy; BadInput beyond the limit. While one is being made, that is the one."""
    waiting = DataCopy.objects.filter(profile=profile, ready_at=None).first()
    if waiting is not None:
        jobs.defer(KIND, profile.pk, reason=REASON)  # the first one may have failed for good
        return waiting
    if not limits.allow(data_copies=str(profile.pk)):
        raise BadInput(
            _("You've asked for several copies today. Please try again tomorrow."), code="too_many", status=429
        )
    empty = {"requested_at": clock.now(), "ready_at": None, "expires_at": None, "encrypted": ""}
    row, _is_new = DataCopy.objects.update_or_create(profile=profile, defaults=empty)
    jobs.defer(KIND, profile.pk, reason=REASON)
    audit.record(subject=profile.subject, action=AuditAction.COPY_REQUESTED, actor=audit.CUSTOMER, reason=REASON)
    return row


@transaction.atomic
def prepare(key: str) -> None:
    """The job: make the copy of the profile `key`, and tell the person once that it is ready."""
    row = DataCopy.objects.select_for_update().filter(profile_id=int(key), ready_at=None).first()
    if row is None:  # made already, or the person was erased meanwhile
        return
    profile = UserProfile.objects.select_related("user").get(pk=row.pk)
    now = clock.now()
    row.encrypted = encryption.encrypt(privacy.export(profile), purpose=encryption.COPIES)
    row.ready_at, row.expires_at = now, now + dt.timedelta(days=settings.RETENTION["data_copies"])
    row.save()
    with languages.speaking_to(profile.language):
        until = day(row.expires_at)
    notify(
        key=f"copy_ready:{profile.pk}:{int(now.timestamp())}", template="copy_ready", to=profile.email, profile=profile,
        context={"until": until, "first_name": profile.user.first_name},
    )  # fmt: skip


def find(profile: UserProfile) -> DataCopy | None:
    """The copy that is being made or can be read now."""
    row = DataCopy.objects.filter(profile=profile).first()
    return None if row is not None and row.expires_at and row.expires_at <= clock.now() else row


@transaction.atomic
def hand_out(profile: UserProfile, *, form: str) -> Exported | None:
    """What the copy holds, and the line about it; None when there is none now, or it cannot be read any more."""
    row = find(profile)
    if row is None or not row.encrypted:
        return None
    try:
        found: Exported = encryption.decrypt(row.encrypted, purpose=encryption.COPIES)
    except encryption.DecryptionError:  # SECRET_KEY was changed
        row.delete()
        return None
    audit.record(
        subject=profile.subject, action=AuditAction.PERSON_EXPORTED, actor=audit.CUSTOMER, reason=REASON,
        after={"format": form, "rows": sum(map(len, found.values()))},
    )  # fmt: skip
    return found
