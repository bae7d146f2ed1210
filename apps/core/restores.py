"""After the database was restored: access is paused until what happened in the lost time was found again outside it.

While a check is open, no job that gives or takes access runs (they are parked), and nobody can sign up, pay here or recover
an account. Events are stored and mirrored as ever. operations/after_restore.py does the work; only staff finish it.
"""

import datetime as dt

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from apps.core import attention, audit, clock, dependencies, jobs
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.core.job_outcomes import PERIODIC
from apps.core.kept import Kept
from apps.core.models import AttentionItem, AuditEntry, RestoreCheck

KIND = "check_after_restore"
DATABASE = "database"  # the key of the attention item about the restore itself
PAUSED = "The database was restored. Access changes again once staff have finished the check."
_paused = Kept(lambda: dependencies.is_paused(dependencies.RESTORED), seconds=3.0)


def is_closed() -> bool:
    """Whether the public pages are closed for a check; without a marker file nobody would know of a restore."""
    return bool(settings.RESTORE_MARKER_FILE) and _paused.get()


def open_check() -> RestoreCheck | None:
    """The check that is not finished."""
    return RestoreCheck.objects.filter(finished_at=None).first()


def was_lost(moment: dt.datetime | None) -> bool:
    """Whether it lies in a time that a restore has lost: people were told of it then, by a system that still knew it."""
    return moment is not None and RestoreCheck.objects.filter(lost_from__lte=moment, lost_until__gte=moment).exists()


@transaction.atomic
def begin(
    evidence: str,
    *,
    actor: str = audit.SYSTEM,
    lost: tuple[dt.datetime, dt.datetime] | None = None,
    last_entry: int | None = None,
) -> RestoreCheck:
    """Pause access and begin a check, or return the open one. `last_entry`: the last number of the audit trail outside."""
    dependencies.pause(dependencies.RESTORED, PAUSED)
    if found := open_check():
        return found
    present = AuditEntry.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    check = RestoreCheck.objects.create(
        noticed_at=clock.now(),
        evidence=evidence[:500],
        lost_from=lost[0] if lost else None,
        lost_until=lost[1] if lost else None,
        lost_entries=None if last_entry is None else max(0, last_entry - present),
    )
    audit.record(
        subject=("restorecheck", check.pk), action=AuditAction.RESTORE_NOTICED, actor=actor, reason=evidence,
        after={"lost_entries": check.lost_entries},
    )  # fmt: skip
    attention.report(attention.Cause.RESTORED, DATABASE, describe_loss(check))
    jobs.defer(KIND, PERIODIC, reason="the database was restored")
    transaction.on_commit(_paused.forget)
    return check


def describe_loss(check: RestoreCheck) -> str:
    """What is gone, and what staff are asked to do."""
    times = [one.strftime("%Y-%m-%d %H:%M UTC") for one in (check.lost_from, check.lost_until) if one]
    told = f" Lost: what was written between {' and '.join(times)}." if len(times) == 2 else ""
    lines = f" {check.lost_entries} lines of the audit trail are gone." if check.lost_entries else ""
    return (
        f"{check.evidence}{told}{lines} Nobody's access is given or taken until the check is finished. Ask each of staff what they"
        " did in that time: overrides, terms, prices, caps and roles that leave nothing in Keycloak are in no list. Follow the check"
        " under Restores in the console, deal with the other items of this kind, then finish it."
    )


def found_items() -> QuerySet[AttentionItem]:
    """What the check found and staff have not closed; the restore itself is none of it."""
    return attention.open_items().filter(cause=attention.Cause.RESTORED).exclude(key=DATABASE)


@transaction.atomic
def finish(*, actor: str, reason: str, accept: int | None = None) -> RestoreCheck:
    """Let access change again. BadInput while the check runs, or while items are open that `accept` does not count."""
    check = RestoreCheck.objects.select_for_update().filter(finished_at=None).first()
    if check is None:
        raise BadInput("No check after a restore is open.")
    if check.step != RestoreCheck.Step.READY:
        raise BadInput(f"The check is not done yet: {RestoreCheck.Step(check.step).label}.")
    if (left := found_items().count()) and left != accept:
        raise BadInput(
            f"{left} items that the check found are open. Close each once it is dealt with, or accept all {left}.",
            field="confirmation",
        )
    if not reason.strip():
        raise BadInput("Say why it can be finished.", field="reason")
    check.finished_at, check.finished_by, check.reason = clock.now(), actor[:150], reason[:300]
    check.save(update_fields=["finished_at", "finished_by", "reason"])
    audit.record(
        subject=("restorecheck", check.pk), action=AuditAction.RESTORE_FINISHED, actor=actor, reason=reason,
        after={"counts": check.counts, "open_items": left},
    )  # fmt: skip
    attention.resolve(attention.Cause.RESTORED, DATABASE, why=f"Finished by {actor}.")
    dependencies.resume(dependencies.RESTORED)
    transaction.on_commit(_paused.forget)
    return check
