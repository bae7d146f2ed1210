"""Anchors of the audit trail: what a chain cannot show by itself is that its last lines are gone.

Once a day a signed line with the number of entries, the last of them and a hash over all goes to the log, and to AUDIT_ANCHOR_FILE.
Kept where the database's owner cannot write, it proves every entry up to its own: `manage.py verify_audit --anchor FILE`.
"""

import datetime as dt
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import structlog
from django.conf import settings
from django.core import signing

from apps.core import clock, jobs
from apps.core.models import AuditEntry, Job

log = structlog.get_logger(__name__)

KIND = "anchor_audit"
DAY = 86_400
# Entries get their number before they are committed: younger ones may still come in between.
MARGIN = dt.timedelta(minutes=10)
LINE = re.compile(r"audit-anchor ([0-9T:.+-]+) (\d+) (\d+) ([0-9a-f]{64}) [\w-]{20,}")


def register() -> None:
    """The daily job."""
    jobs.register(KIND, export, label="Sign the audit trail", every=DAY, importance=Job.Importance.SWEEP)


def export(_key: str = "") -> None:
    """The job: today's anchor to the log and, where one is named, to the end of the file."""
    line = make(clock.now())
    log.info("audit_anchored", anchor=line)
    if settings.AUDIT_ANCHOR_FILE:
        with Path(settings.AUDIT_ANCHOR_FILE).open("a") as file:
            file.write(f"{line}\n")


def make(now: dt.datetime) -> str:
    """A signed line over all entries that are older than the margin."""
    last = AuditEntry.objects.filter(at__lte=now - MARGIN).order_by("-id").values_list("pk", flat=True).first() or 0
    count, digest = _digests({last})[last]
    return _signer().sign(f"audit-anchor {now.isoformat(timespec='seconds')} {count} {last} {digest}")


def find_gaps(lines: Iterable[str]) -> list[str]:
    """What the anchors in these lines, of a log or a file of them, say against the trail; also that there are none."""
    anchors = [match for line in lines for match in LINE.finditer(line)]
    gaps = [] if anchors else ["There is no anchor in it."]
    digests = _digests({int(anchor[3]) for anchor in anchors})
    for anchor in anchors:
        _, at, count, last, digest = anchor[0].split(" ")[:5]
        left, found = digests[int(last)]
        if not _is_ours(anchor[0]):
            gaps.append(f"The anchor of {at} is not signed by our key.")
        elif left != int(count):
            gaps.append(f"The anchor of {at} counts {count} entries up to {last}, and {left} are there.")
        elif found != digest:
            gaps.append(f"Entries up to {last} are not those that the anchor of {at} was made of.")
    return gaps


def _digests(wanted: set[int]) -> dict[int, tuple[int, str]]:
    """For each number of an entry: how many there are up to it, and the hash over theirs. One walk over the trail."""
    found: dict[int, tuple[int, str]] = {}
    waiting, count, running = sorted(wanted, reverse=True), 0, hashlib.sha256()
    for pk, own in AuditEntry.objects.order_by("id").values_list("pk", "hash").iterator(chunk_size=10_000):
        while waiting and pk > waiting[-1]:
            found[waiting.pop()] = count, running.hexdigest()
        if not waiting:
            break
        count += 1
        running.update(f"{pk}:{own};".encode())
    return found | dict.fromkeys(waiting, (count, running.hexdigest()))


def _signer() -> signing.Signer:
    """Signs with the present key, and takes the former ones too: those of the site only where it has signed for the anchors."""
    key: str = settings.AUDIT_ANCHOR_KEY
    former: list[str | bytes] = [*settings.AUDIT_ANCHOR_KEY_PREVIOUS]
    if not key:
        key, former = settings.SECRET_KEY, [*settings.SECRET_KEY_FALLBACKS, *former]
    return signing.Signer(key=key, fallback_keys=former, sep=" ", salt="frontdesk.audit-anchor")


def _is_ours(line: str) -> bool:
    try:
        _signer().unsign(line)
    except signing.BadSignature:
        return False
    return True
