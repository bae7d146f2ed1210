"""Heads of the audit trail: one hash over all entries up to one, which can be followed from block to block.

A block is a range of 10,000 numbers of entries. The head at the end of a block is made of the head before it and of the hashes of
its entries alone: who has the head of the last block reads only what came after it. A head is signed in a line, the anchor.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core import signing
from django.db.models import OuterRef, Subquery

from apps.core.audit_chains import ChainCheck
from apps.core.models import AuditEntry

BLOCK = 10_000
# "audit-anchor" alone: a hash over the whole trail in one, as made until blocks were introduced.
LINE = re.compile(r"audit-anchor(-2)? ([0-9T:.+-]+) (\d+) (\d+) ([0-9a-f]{64}) [\w-]{20,}")


@dataclass(frozen=True)
class TrailHead:
    """How many entries there are up to number `last`, and the hash over theirs."""

    count: int
    last: int
    digest: str

    @property
    def block_end(self) -> int:
        """The last number of the block that it is in, or that begins after it."""
        return ((self.last + 1) // BLOCK + 1) * BLOCK - 1


START = TrailHead(0, -1, "")


@dataclass(frozen=True)
class Anchor:
    """A line as it was signed, and whether by us."""

    line: str
    made_at: str
    head: TrailHead
    is_ours: bool
    is_by_blocks: bool


def find_anchors(lines: Iterable[str]) -> list[Anchor]:
    """The anchors in these lines, of a log or a file of them."""
    found = [match for line in lines for match in LINE.finditer(line)]
    return [
        Anchor(one[0], one[2], TrailHead(int(one[3]), int(one[4]), one[5]), _is_ours(one[0]), bool(one[1]))
        for one in found
    ]


def sign(head: TrailHead, made_at: str) -> str:
    """The line of this head."""
    return _signer().sign(f"audit-anchor-2 {made_at} {head.count} {head.last} {head.digest}")


def block_before(number: int) -> int:
    """The last number of the block before that of entry `number`; -1 for the first."""
    return number // BLOCK * BLOCK - 1


def after(head: TrailHead, entries: Sequence[tuple[int, str]], upto: int) -> TrailHead:
    """The head at `upto`, from the one at the end of the block before and the (number, hash) of the entries since."""
    own = hashlib.sha256("".join(f"{pk}:{hashed};" for pk, hashed in entries).encode()).hexdigest()
    digest = hashlib.sha256(f"{head.digest}:{own}".encode()).hexdigest()
    return TrailHead(head.count + len(entries), upto, digest)


def follow(head: TrailHead, upto: int, found: ChainCheck) -> TrailHead:
    """`after`, of what is in the trail now; each entry is verified against its predecessor, too. Within one block."""
    if upto == head.last:
        return head
    chain = AuditEntry.objects.filter(
        subject_kind=OuterRef("subject_kind"), subject_id=OuterRef("subject_id"), pk__lt=OuterRef("pk")
    )
    predecessor = Subquery(chain.order_by("-pk").values("hash")[:1])
    rows: list[Any] = list(_between(head.last, upto).annotate(predecessor=predecessor))
    for one in rows:
        found.add(one, one.predecessor or "")
    return after(head, [(one.pk, one.hash) for one in rows], upto)


def find_heads(wanted: Collection[int]) -> dict[int, TrailHead]:
    """The heads at these numbers, from the first entry on: one walk over the trail, a block at a time."""
    found: dict[int, TrailHead] = {}
    head, waiting = START, sorted(wanted)
    while waiting:
        end = head.block_end
        rows = list(_between(head.last, end).values_list("pk", "hash"))
        while waiting and waiting[0] <= end:
            last = waiting.pop(0)
            found[last] = after(head, [row for row in rows if row[0] <= last], last)
        head = after(head, rows, end)
    return found


def find_whole_digests(wanted: Collection[int]) -> dict[int, TrailHead]:
    """The same for anchors made until blocks were introduced: one hash over the numbers and hashes of all entries."""
    found: dict[int, TrailHead] = {}
    waiting, count, last, running = sorted(wanted, reverse=True), 0, 0, hashlib.sha256()
    for pk, own in AuditEntry.objects.order_by("id").values_list("pk", "hash").iterator(chunk_size=BLOCK):
        while waiting and pk > waiting[-1]:
            last = waiting.pop()
            found[last] = TrailHead(count, last, running.hexdigest())
        if not waiting:
            break
        count += 1
        running.update(f"{pk}:{own};".encode())
    return found | {one: TrailHead(count, one, running.hexdigest()) for one in waiting}


def say_gap(anchor: Anchor, head: TrailHead) -> str:
    """What an anchor says against the trail, whose head at its number is `head`; empty when they agree."""
    at, last = anchor.made_at, anchor.head.last
    if head.count != anchor.head.count:
        return f"The anchor of {at} counts {anchor.head.count} entries up to {last}, and {head.count} are there."
    agrees = head.digest == anchor.head.digest
    return "" if agrees else f"Entries up to {last} are not those that the anchor of {at} was made of."


def _between(after_number: int, upto: int) -> Any:
    return AuditEntry.objects.filter(pk__gt=after_number, pk__lte=upto).order_by("pk")


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
