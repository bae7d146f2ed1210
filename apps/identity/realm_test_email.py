"""The realm's test email: Keycloak sends one to an account of the realm, and the timeline says whether it left.

It asks to verify the address, which changes nothing for an account whose address is verified, and is an email that our
account may request: Keycloak's own test of its mail server needs manage-realm (403 on 26.7.3).
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction

from apps.core import audit, clock, jobs
from apps.core.audit_actions import AuditAction
from apps.core.errors import NeedsOperator, WorkError
from apps.identity import api_errors
from apps.identity.admin_client import admin_client
from apps.identity.reach import OutOfReach, within_reach

KIND = "send_realm_test_email"
REQUESTED, SENT = AuditAction.TEST_EMAIL_REQUESTED, AuditAction.TEST_EMAIL_SENT
FAILED, NO_RECIPIENT = AuditAction.TEST_EMAIL_FAILED, AuditAction.TEST_EMAIL_NO_RECIPIENT
VALID_FOR = dt.timedelta(days=30)  # how long a test email proves anything
LIFESPAN_SECONDS = 900


class NoSuchAccount(NeedsOperator):
    """No account with that username or address, or none that we may email; this says nothing about its mail server."""


@dataclass(frozen=True, kw_only=True)
class EmailOutcome:
    """What became of a test email: sent, without a recipient, or failed for a reason."""

    sent: bool = False
    no_recipient: bool = False
    reason: str = ""


def last_test_email() -> EmailOutcome | None:
    """What became of the last test email; None when none was sent lately."""
    entries = audit.entries_about(("realm", settings.KEYCLOAK_REALM))
    entries = entries.filter(action__in=(SENT, FAILED, NO_RECIPIENT), at__gte=clock.now() - VALID_FOR)
    last = entries.order_by("-id").first()
    if last is None:
        return None
    reason = str(last.after.get("said", ""))
    return EmailOutcome(sent=last.action == SENT, no_recipient=last.action == NO_RECIPIENT, reason=reason)


def send_test_email(recipient: str, *, actor: str) -> None:
    """Have Keycloak email the account with that username or address, and record the outcome. Raises WorkError."""
    try:
        _send(recipient)
    except WorkError as error:
        _record(NO_RECIPIENT if isinstance(error, NoSuchAccount) else FAILED, actor=actor, after={"said": error.reason})
        raise
    _record(SENT, actor=actor)


def _send(recipient: str) -> None:
    admin = admin_client(settings.KEYCLOAK_ADMIN_CLIENT_ID, settings.KEYCLOAK_ADMIN_CLIENT_SECRET)
    field = "email" if "@" in recipient else "username"
    query = {field: recipient, "exact": True, "max": 1, "briefRepresentation": True}
    found = api_errors.read(f"search accounts by {field}", lambda: admin.get_users(query))
    if not found:
        raise NoSuchAccount("The realm has no account with that username or address; Keycloak emails nobody else.")
    key = found[0]["id"]
    try:
        with within_reach(admin, key):
            api_errors.write(
                f"send account {key} a test email",
                lambda: admin.send_update_account(key, ["VERIFY_EMAIL"], lifespan=LIFESPAN_SECONDS),
            )
    except OutOfReach as error:
        raise NoSuchAccount(
            f"Our Keycloak account may email members of {settings.KEYCLOAK_PARENT_GROUP} only; name one of them."
        ) from error


@transaction.atomic
def _record(action: AuditAction, *, actor: str, reason: str = "", after: dict[str, Any] | None = None) -> None:
    audit.record(subject=("realm", settings.KEYCLOAK_REALM), action=action, actor=actor, reason=reason, after=after)


def request_test_email(recipient: str, *, actor: str, reason: str) -> int:
    """Request a test email to that account, in the caller's transaction; returns the Job's id."""
    job = jobs.defer(KIND, recipient, reason=f"requested by {actor}")
    _record(REQUESTED, actor=actor, reason=reason, after={"job": job})  # which says to whom, until its retention ends
    return job


def run_test_email(key: str) -> None:
    """The job: email the account `key` once. The timeline holds the outcome, so it never retries automatically."""
    try:
        send_test_email(key, actor=audit.SYSTEM)
    except WorkError:
        return
