"""The receipt of an erased person: what went when, by whose decision, what is kept, and how far Keycloak, Stripe and products are.

Promises: it says what the audit trail and the jobs say, asks nobody, and names the erased person nowhere.
"""

import datetime as dt
from dataclasses import dataclass

from apps.accounts.erasers import is_erased
from apps.accounts.models import UserProfile
from apps.billing.forgetting import FORGET
from apps.core import audit
from apps.core.audit_actions import AuditAction
from apps.core.models import AuditEntry, Job
from apps.core.states import Tone
from apps.identity import erasure
from apps.instances.provisioning import accounts as product_accounts
from apps.operations.privacy import find_receipt

System = tuple[
    str, str, str, AuditAction
]  # its name, the job, the subject of the line that says it is done, and its action
IN_PRODUCT = (product_accounts.KIND, "product_account", AuditAction.ERASED_IN_PRODUCT)
SYSTEMS: dict[str, System] = {
    "keycloak": ("Keycloak", erasure.KIND, "account", AuditAction.ERASED_AT_KEYCLOAK),
    "stripe": ("Stripe", FORGET, "customer", AuditAction.ERASED_AT_STRIPE),
}


@dataclass(frozen=True)
class SystemErasure:
    """How far erasing is in one system. `job`: the one that stopped, for staff."""

    name: str
    sentence: str
    tone: Tone
    at: dt.datetime | None = None
    job: Job | None = None


@dataclass(frozen=True)
class Receipt:
    """`erased`: rows by kind; `kept`: what stays, and why or until when."""

    number: int
    at: dt.datetime
    actor: str
    reason: str
    erased: tuple[tuple[str, int], ...]
    kept: tuple[tuple[str, str], ...]
    systems: tuple[SystemErasure, ...]

    @property
    def is_complete(self) -> bool:
        return all(one.tone == Tone.GOOD for one in self.systems)

    @property
    def moving(self) -> bool:
        """Whether it will change by itself."""
        return any(one.tone == Tone.BUSY for one in self.systems)


def read_receipt(profile: UserProfile) -> Receipt | None:
    """The receipt of a person who is erased; None of anybody else."""
    entry = find_receipt(profile) if is_erased(profile) else None
    if entry is None:
        return None
    ids: dict[str, str | None] = entry.after.get("systems", {})
    places: dict[str, str] = entry.after.get("products", {})
    return Receipt(
        number=entry.pk, at=entry.at, actor=entry.actor, reason=entry.reason,
        erased=tuple((name, count) for name, count in entry.after.get("erased", {}).items() if count),
        kept=tuple(entry.after.get("kept", {}).items()),
        systems=(
            *(_read_system(system, ids.get(name), entry) for name, system in SYSTEMS.items()),
            *(_read_system((place, *IN_PRODUCT), account, entry) for account, place in places.items()),
        ),
    )  # fmt: skip


def _read_system(system: System, identifier: str | None, receipt: AuditEntry) -> SystemErasure:
    title, kind, subject, action = system
    if not identifier:
        return SystemErasure(title, "There was nothing.", Tone.GOOD, receipt.at)
    lines = audit.entries_about((subject, identifier)).filter(action=action)
    if line := lines.order_by("id").first():
        kept = line.after.get("invoices") == "kept"
        return SystemErasure(title, "Invoices stay, as tax law wants." if kept else "Deleted.", Tone.GOOD, line.at)
    job = Job.objects.filter(kind=kind, key=identifier).order_by("-pk").first()
    if job is None or job.state == Job.State.DONE:  # of before such lines were written
        return SystemErasure(title, "Done.", Tone.GOOD, job.finished_at if job else None)
    if job.state in Job.GIVEN_UP:
        return SystemErasure(title, f"Stopped: {job.last_error}", Tone.BAD, job=job)
    return SystemErasure(title, job.last_error or "Waiting for its turn.", Tone.BUSY)
