"""Which customers have changed, in an order in which none is ever missed.

A transaction writes its changes before it commits, and may commit after one that began later; so the order in which they were
written is no order to follow. Each gets its number when it is first seen, by who holds the one lock: whatever commits later gets
a higher one. A reader who has followed the numbers up to one has seen all that was committed by then.

After a restore the numbers of what was lost are given again, to others: a cursor names the restore that it comes after, and one
from before is refused.
"""

import datetime as dt
import re
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import Exists, Max, Min, OuterRef, Q, QuerySet

from apps.accounts.models import UserProfile
from apps.core import clock, retention
from apps.core.locks import LockClass, lock_until_commit
from apps.core.models import RestoreCheck
from apps.operations.models import CustomerChange

BATCH = 2_000  # numbered in one statement
FORM = re.compile(r"([0-9]{1,12})\.([0-9]{1,15})")
NUMBER_NEW = """
WITH new AS (SELECT id, row_number() OVER (ORDER BY id) AS place FROM operations_customerchange WHERE number IS NULL ORDER BY id LIMIT %s),
last AS (SELECT coalesce(max(number), 0) AS number FROM operations_customerchange)
UPDATE operations_customerchange c SET number = last.number + new.place, at = %s FROM new, last WHERE c.id = new.id
"""


class CursorGone(Exception):
    """What came after this cursor is not known any more: the reader begins again."""


class BadCursor(Exception):
    """The text is no cursor."""


@dataclass(frozen=True)
class ChangePage:
    """Who has changed, each once, in the order of their last change here: number and whether they still exist.

    `cursor`: where to go on. `has_more`: more can be read at once.
    """

    customers: tuple[tuple[int, bool], ...]
    cursor: str
    has_more: bool


def register() -> None:
    """Our row of the retention table."""
    retention.register("customer_changes", prune, outdated)


@transaction.atomic
def number_new() -> int:
    """Number what is committed and has none yet, BATCH at a time; returns how many got one."""
    lock_until_commit(
        LockClass.CUSTOMER_CHANGES, 0
    )  # a statement of its own: the next one sees what others have committed
    with connection.cursor() as cursor:
        cursor.execute(NUMBER_NEW, [BATCH, clock.now()])
        return int(cursor.rowcount)


def find_present() -> str:
    """A cursor after all that is committed now."""
    epoch = _epoch()  # first: a restore that is noticed meanwhile ends this cursor
    while number_new() == BATCH:
        pass
    return _write_cursor(epoch, _last_number())


def read_changes(after: str, *, limit: int) -> ChangePage:
    """Who has changed after a cursor. BadCursor, or CursorGone for one that is too old or from before a restore."""
    epoch = _epoch()  # once for the whole answer: a restore that is noticed meanwhile ends its cursor
    position = _read_cursor(after, epoch)
    numbered = number_new()
    last_number = _last_number()  # before the rows: what somebody else numbers meanwhile is among them
    rows = CustomerChange.objects.filter(number__gt=position).order_by("number")
    exists = Exists(UserProfile.objects.filter(pk=OuterRef("profile_id")))
    columns = rows.annotate(exists=exists).values_list("number", "profile_id", "exists")[: limit + 1]
    found = [(number or 0, profile, is_there) for number, profile, is_there in columns]
    _refuse_gone(position, found[0][0] if found else None, last_number)
    page = found[:limit]
    last = {profile: (profile, is_there) for _number, profile, is_there in reversed(page)}
    return ChangePage(
        customers=tuple(reversed(last.values())),
        cursor=_write_cursor(epoch, page[-1][0] if page else position),
        has_more=len(found) > limit or numbered == BATCH,
    )


def _refuse_gone(position: int, first: int | None, last: int) -> None:
    """Numbers have no gaps but at their beginning, and the last one is never deleted."""
    is_gone = position > last if first is None else first != position + 1
    if is_gone:
        raise CursorGone


def _last_number() -> int:
    return int(CustomerChange.objects.aggregate(last=Max("number"))["last"] or 0)


def _epoch() -> int:
    """The second at which the last restore was noticed; 0: none was."""
    noticed = RestoreCheck.objects.aggregate(last=Max("noticed_at"))["last"]
    return int(noticed.timestamp()) if noticed else 0


def _write_cursor(epoch: int, number: int) -> str:
    return f"{epoch}.{number}"


def _read_cursor(text: str, epoch: int) -> int:
    found = FORM.fullmatch(text)
    if found is None:
        raise BadCursor
    if int(found[1]) != epoch:
        raise CursorGone
    return int(found[2])


# --- retention --------------------------------------------------------------------------------------------------------


def outdated(before: dt.datetime) -> QuerySet[CustomerChange]:
    """Changes numbered before then, the oldest first, but for the last of all, which the next numbers follow.

    In this order: while only some of them are deleted, what is missing is missing at the beginning, where a reader notices it.
    """
    seen = CustomerChange.objects.aggregate(kept=Min("number", filter=Q(at__gte=before)), last=Max("number"))
    return CustomerChange.objects.filter(number__lt=seen["kept"] or seen["last"] or 0).order_by("number")


def prune(before: dt.datetime) -> int:
    """Number what nobody has read, so that it ages too, and delete what is outdated."""
    while number_new() == BATCH:
        pass
    return retention.delete_in_batches(outdated(before))
