"""The realm doctor: is Keycloak set up as this house needs it, and if not, what exactly has to be done.

Promises: looking changes nothing; findings hold no secrets; the one thing it does when asked is to have Keycloak send a mail
to an account of the realm, and to write down in the timeline whether it left. The checks are pure functions over a frozen
snapshot (`apps.identity.checks`).
"""

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parseaddr

from django.conf import settings
from django.db import transaction

from apps.core import audit, clock, jobs
from apps.core.errors import NeedsOperator, WorkError
from apps.core.models import AuditEntry
from apps.identity import edge, realm_reading
from apps.identity.checks import groups, mappers, profile, realm, rights, server, web_client
from apps.identity.checks.finding import Finding, Severity
from apps.identity.checks.snapshot import House, LastMail, Snapshot, Sold
from apps.identity.connection import READ_SECONDS, account

CHECKS: tuple[Callable[[Snapshot, House], Iterator[Finding]], ...] = (
    rights.check, web_client.check, mappers.check, profile.check, groups.check, realm.check, server.check,
)  # fmt: skip
KIND = "send_realm_test_mail"
SUBJECT = "realm"
SENT, FAILED, NOBODY = "test_mail_sent", "test_mail_failed", "test_mail_to_nobody"
BELIEVED = dt.timedelta(days=30)  # for how long a test mail says something
LIFESPAN_SECONDS = 900


@dataclass(frozen=True, kw_only=True)
class Report:
    """All findings of one look, the worst first."""

    at: dt.datetime
    findings: tuple[Finding, ...]

    def of(self, severity: Severity) -> tuple[Finding, ...]:
        """Those that are that bad."""
        return tuple(one for one in self.findings if one.severity is severity)


def examine(sold: Sold, *, patience: float = READ_SECONDS) -> Report:
    """Look at the realm; `patience` is in seconds per answer. Raises DependencyDown or RetryLater when it does not answer."""
    ours = house(sold)
    seen = dataclasses.replace(realm_reading.read(ours, patience=patience), mail=last_mail())
    return Report(at=clock.now(), findings=diagnosed(seen, ours))


def diagnosed(seen: Snapshot, ours: House) -> tuple[Finding, ...]:
    """What all checks say of a snapshot, the worst first; nothing is asked of anybody."""
    order = list(Severity)
    found = [finding for check in CHECKS for finding in check(seen, ours)]
    return tuple(sorted(found, key=lambda one: order.index(one.severity)))


def house(sold: Sold) -> House:
    """What our settings want of the realm."""
    return House(
        realm=settings.KEYCLOAK_REALM,
        site=settings.BASE_URL,
        issuer=settings.KEYCLOAK_ISSUER,
        web=settings.OIDC_RP_CLIENT_ID,
        sync=settings.KEYCLOAK_ADMIN_CLIENT_ID,
        doctor=settings.KEYCLOAK_DOCTOR_CLIENT_ID,
        parent_group=settings.KEYCLOAK_PARENT_GROUP,
        staff_group=settings.KEYCLOAK_STAFF_GROUP,
        canary=settings.KEYCLOAK_CANARY_USERNAME,
        from_address=parseaddr(settings.DEFAULT_FROM_EMAIL)[1],
        sold=sold,
    )


# --- the test mail ---------------------------------------------------------------------------------------------------


class NoSuchAccount(NeedsOperator):
    """There is nobody of that name or address in the realm; this says nothing of its mail server."""


def last_mail() -> LastMail | None:
    """How the last test mail went; None when none was sent lately."""
    lines = AuditEntry.objects.filter(subject_kind=SUBJECT, subject_id=settings.KEYCLOAK_REALM)
    lines = lines.filter(action__in=(SENT, FAILED, NOBODY), at__gte=clock.now() - BELIEVED)
    last = lines.order_by("-id").first()
    if last is None:
        return None
    said = str(last.after.get("said", ""))
    return LastMail(sent=last.action == SENT, nobody=last.action == NOBODY, said=said)


def mail(name: str, *, actor: str) -> None:
    """Have Keycloak mail the account with that username or address, and write down how it went. Raises WorkError.

    The mail asks to verify the address, which changes nothing for an account whose address is verified. It is the mail our
    account may have sent: Keycloak's own test of its mail server needs manage-realm (403 on 26.7.3).
    """
    try:
        _send(name)
    except WorkError as error:
        _record(NOBODY if isinstance(error, NoSuchAccount) else FAILED, actor, {"said": error.reason})
        raise
    _record(SENT, actor, {})


@transaction.atomic
def _record(action: str, actor: str, after: dict[str, str]) -> None:
    audit.record(subject=(SUBJECT, settings.KEYCLOAK_REALM), action=action, actor=actor, after=after)


def _send(name: str) -> None:
    admin = account(settings.KEYCLOAK_ADMIN_CLIENT_ID, settings.KEYCLOAK_ADMIN_CLIENT_SECRET)
    field = "email" if "@" in name else "username"
    found = edge.read(
        f"search accounts by {field}",
        lambda: admin.get_users({field: name, "exact": True, "max": 1, "briefRepresentation": True}),
    )
    if not found:
        raise NoSuchAccount("The realm has no account of that name or address; Keycloak mails nobody else.")
    edge.write(
        f"send account {found[0]['id']} a test mail",
        lambda: admin.send_update_account(found[0]["id"], ["VERIFY_EMAIL"], lifespan=LIFESPAN_SECONDS),
    )


def request_mail(name: str, *, actor: str, reason: str) -> int:
    """Ask for a test mail to that account, in the caller's transaction; returns the Job's id."""
    subject, after = (SUBJECT, settings.KEYCLOAK_REALM), {"to": name}
    audit.record(subject=subject, action="test_mail_requested", actor=actor, reason=reason, after=after)
    return jobs.defer(KIND, name, reason=f"asked by {actor}")


def send_test_mail(key: str) -> None:
    """The job: mail the account `key` once; how it went stands in the timeline, so it never retries by itself."""
    try:
        mail(key, actor=audit.SYSTEM)
    except WorkError:
        return
