"""Anchors of the audit trail: what a chain cannot show by itself is that its last lines are gone.

Once a day a signed line with the number of entries, the last of them and a hash over all goes to the log, and to AUDIT_ANCHOR_FILE.
Kept where the database's owner cannot write, it proves every entry up to its own. The job reads what came since the last one, and
five of the blocks before, those compared longest ago, so that its cost stays flat as the trail grows.

| what somebody did to the trail | the job | `manage.py verify_audit --anchor FILE` |
|---|---|---|
| cut entries off the end, or changed the last ones | next day | at once |
| changed, removed or added entries in an older block, the first or a whole chain | when that block's turn comes | at once |
| cut entries off the end with the anchors in the database | next day, by AUDIT_ANCHOR_FILE | at once |

What it finds is an attention item.
"""

import datetime as dt
from collections.abc import Iterable
from pathlib import Path

import structlog
from django.conf import settings
from django.db.models import F, QuerySet

from apps.core import attention, audit_heads, clock, jobs
from apps.core.audit_chains import ChainCheck
from apps.core.audit_heads import START, Anchor, TrailHead
from apps.core.job_outcomes import PERIODIC
from apps.core.models import AuditAnchor, AuditEntry, Job

log = structlog.get_logger(__name__)

KIND, NEXT = "anchor_audit", "next"
DAY = 86_400
# Entries get their number before they are committed: younger ones may still come in between.
MARGIN = dt.timedelta(minutes=10)
NEW_BLOCKS, OLD_BLOCKS = 10, 5  # that one run of the job reads; a job has a minute
TAIL_BYTES = 8_192  # in which the file's last anchor is
NOT_OURS = "The anchor of entry {} in the database is not signed by our key."
ADVICE = (
    "Somebody with the rights of the database's owner has changed the audit trail. Leave the database and the file of anchors as they"
    " are. `manage.py verify_audit --anchor FILE` names what was altered; a backup of before has the right entries. Then change"
    " the owner's password and find out who had it."
)


def register() -> None:
    """The daily job."""
    jobs.register(KIND, export, label="Sign the audit trail", every=DAY, importance=Job.Importance.SWEEP)


def export(_key: str = "") -> None:
    """The job: compare the last anchors, follow the trail to its end, sign it, and compare some older blocks."""
    began, found = clock.now(), ChainCheck()
    gaps = _compare_newest()
    head = _follow_to_end(found, began, gaps)
    if head is None:
        jobs.defer(KIND, NEXT, reason="the next blocks", lane=f"{KIND}:{PERIODIC}")
    else:
        _publish(head, began)
        gaps += _compare_old_blocks(found, began)
    _tell(gaps, found)


def _follow_to_end(found: ChainCheck, now: dt.datetime, gaps: list[str]) -> TrailHead | None:
    """The head at the last entry older than the margin, from the last signed block on; None when this run ends before it."""
    old_enough = AuditEntry.objects.filter(at__lte=now - MARGIN)
    last = old_enough.order_by("-id").values_list("pk", flat=True).first() or 0
    head = _last_block(gaps)
    for _ in range(NEW_BLOCKS):
        if head.block_end > last:
            return audit_heads.follow(head, max(last, head.last), found)
        head = audit_heads.follow(head, head.block_end, found)
        _keep(head, now)
    return None


def _last_block(gaps: list[str]) -> TrailHead:
    """The last end of a block that is signed by us."""
    for row in _blocks().order_by("-last"):
        if anchor := _read(row):
            return anchor.head
        gaps.append(NOT_OURS.format(row.last))
    return START


def _keep(head: TrailHead, now: dt.datetime) -> str:
    line = audit_heads.sign(head, now.isoformat(timespec="seconds"))
    AuditAnchor.objects.update_or_create(last=head.last, defaults={"line": line, "checked_at": now})
    return line


def _publish(head: TrailHead, now: dt.datetime) -> None:
    """Today's anchor to the database, to the log and, where one is named, to the end of the file."""
    line = _keep(head, now)
    log.info("audit_anchored", anchor=line)
    if settings.AUDIT_ANCHOR_FILE:
        with Path(settings.AUDIT_ANCHOR_FILE).open("a") as file:
            file.write(f"{line}\n")


# --- comparing ---------------------------------------------------------------------------------------------------------


def _compare_newest() -> list[str]:
    """The last anchor in the database and the last in the file against the trail."""
    row = AuditAnchor.objects.order_by("-last").first()
    gaps = [NOT_OURS.format(row.last)] if row and not _read(row) else []
    anchors = audit_heads.find_anchors([*([row.line] if row else []), *_last_of_file()])
    gaps += _not_ours(anchors[-1:])
    return gaps + [gap for one in anchors if one.is_ours for gap in _compare(one, ChainCheck())]


def _compare(anchor: Anchor, found: ChainCheck) -> list[str]:
    """An anchor against the trail, from the signed end of the block before it on; one of before blocks only by the command."""
    if not anchor.is_by_blocks:
        return []
    before, start = audit_heads.block_before(anchor.head.last), START
    if before >= 0:
        row = AuditAnchor.objects.filter(last=before).first()
        signed = _read(row) if row else None
        if signed is None:
            return [f"The anchor of entry {before} in the database is gone, or is not signed by our key."]
        start = signed.head
    gap = audit_heads.say_gap(anchor, audit_heads.follow(start, anchor.head.last, found))
    return [gap] if gap else []


def _compare_old_blocks(found: ChainCheck, began: dt.datetime) -> list[str]:
    """Those ends of blocks compared longest ago."""
    gaps: list[str] = []
    for row in _blocks().filter(checked_at__lt=began).order_by("checked_at", "last")[:OLD_BLOCKS]:
        anchor = _read(row)
        gaps += _compare(anchor, found) if anchor else [NOT_OURS.format(row.last)]
        AuditAnchor.objects.filter(pk=row.pk).update(checked_at=began)
    return gaps


def _tell(gaps: list[str], found: ChainCheck) -> None:
    if gaps:
        attention.report(attention.Cause.AUDIT, "anchors", f"{gaps[0][:300]} {ADVICE}")
    if found.breaks:
        first = found.breaks[0]
        said = f"{len(found.breaks)} entries do not fit their chains; the first: {first.subject}: entry {first.entry_id} {first.problem}."
        attention.report(attention.Cause.AUDIT, "entries", f"{said[:300]} {ADVICE}")


def _blocks() -> QuerySet[AuditAnchor]:
    return AuditAnchor.objects.annotate(end=(F("last") + 1) % audit_heads.BLOCK).filter(end=0)


def _read(row: AuditAnchor) -> Anchor | None:
    """The row's anchor, if it is about its entry and signed by us."""
    found = audit_heads.find_anchors([row.line])
    return found[0] if found and found[0].is_ours and found[0].head.last == row.last else None


def _last_of_file() -> list[str]:
    """The last lines of the file of anchors, as one text that ends with its last anchor."""
    try:
        with Path(settings.AUDIT_ANCHOR_FILE or "").open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return []
    return [line for line in lines if audit_heads.LINE.search(line)][-1:]


def find_gaps(lines: Iterable[str]) -> list[str]:
    """What the anchors in these lines, of a log or a file of them, say against the whole trail; also that there are none."""
    anchors = audit_heads.find_anchors(lines)
    if not anchors:
        return ["There is no anchor in it."]
    return [*_not_ours(anchors), *_compare_all(anchors)]


def find_own_gaps() -> list[str]:
    """The same for the anchors in the database."""
    anchors = audit_heads.find_anchors(AuditAnchor.objects.order_by("last").values_list("line", flat=True))
    return [*_not_ours(anchors), *_compare_all(anchors)]


def _not_ours(anchors: list[Anchor]) -> list[str]:
    return [f"The anchor of {one.made_at} is not signed by our key." for one in anchors if not one.is_ours]


def _compare_all(anchors: list[Anchor]) -> list[str]:
    new, old = ([one for one in anchors if one.is_ours and one.is_by_blocks == kind] for kind in (True, False))
    heads = audit_heads.find_heads({one.head.last for one in new})
    whole = audit_heads.find_whole_digests({one.head.last for one in old})
    said = [audit_heads.say_gap(one, heads[one.head.last]) for one in new]
    said += [audit_heads.say_gap(one, whole[one.head.last]) for one in old]
    return [gap for gap in said if gap]
