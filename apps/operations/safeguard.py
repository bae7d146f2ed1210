"""The mass guard: a sweep that would take access from more than max(20, 5 %) of those who have it stops and asks staff.

Promises: a sweep takes nothing from anybody before the whole of it was counted; beyond the limit nobody loses anything
until somebody confirms exactly these people, for a day; within it nothing is asked. A loss that has its own event or its
own date is not a sweep's: it never comes here.

How a sweep uses it: `begin` a walk, `gather` who would lose from each slice, and at the end `judge`, which gives back who
may be looked at, or raises NeedsOperator. Whoever does not lose is not waited for.
"""

import datetime as dt
from collections.abc import Collection

from django.db import transaction
from django.db.models import Q, QuerySet

from apps.accounts.models import UserProfile
from apps.core import audit, clock, jobs
from apps.core.errors import BadInput, NeedsOperator
from apps.core.states import AccessState
from apps.operations.models import MassLoss

FLOOR, SHARE = 20, 0.05
HAS_ACCESS = (AccessState.ACTIVE.value, AccessState.GRACE.value)
CONFIRMED_FOR = dt.timedelta(days=1)
WORDS = {
    "look_at_everybody": "The nightly look",
    "compare_subscriptions": "Stripe's list",
    "sync_run": "A sync of many",
}
State = MassLoss.State


def subscribers() -> int:
    """How many have access, by the last look at each."""
    return UserProfile.objects.filter(access_state__in=HAS_ACCESS).count()


def limit(subscribers: int) -> int:
    """How many of so many may lose access at once without being asked about."""
    return int(max(FLOOR, SHARE * subscribers))


def too_many(losing: int, subscribers: int) -> bool:
    """Whether staff have to be asked."""
    return losing > limit(subscribers)


@transaction.atomic
def begin(sweep: str) -> None:
    """A walk begins: what an unfinished one had gathered does not count."""
    MassLoss.objects.filter(sweep=sweep, scope="", state=State.GATHERING).delete()
    now = clock.now()
    MassLoss.objects.create(sweep=sweep, asked_at=now, seen_at=now)


@transaction.atomic
def gather(sweep: str, losing: Collection[int]) -> None:
    """These profiles would lose access by this slice of the walk. The same slice again changes nothing."""
    row = _of(sweep, "").filter(state=State.GATHERING).first()
    if row is None:
        # The walk's end is done again after it had stopped: what it had gathered stands in the question.
        now = clock.now()
        asked = _of(sweep, "").filter(Q(state=State.ASKING) | Q(state=State.CONFIRMED, until__gt=now)).first()
        row = MassLoss(sweep=sweep, asked_at=now, seen_at=now, who=asked.who if asked else [])
    row.who = sorted({*row.who, *losing})
    row.save()


def judge(sweep: str, *, job_key: str, scope: str = "", losing: Collection[int] = ()) -> list[int]:
    """Who may lose access now, of what was gathered and of `losing`: all of them, within the limit or when confirmed.

    Raises NeedsOperator otherwise, and the question stands in the console; `job_key` names the job that then goes on.
    """
    sentence, who = _judge(sweep, job_key, scope, losing)
    if sentence:
        raise NeedsOperator(sentence)
    return who


@transaction.atomic
def _judge(sweep: str, job_key: str, scope: str, losing: Collection[int]) -> tuple[str, list[int]]:
    gathered = _of(sweep, scope).filter(state=State.GATHERING).first()
    who, of, now = sorted({*losing, *(gathered.who if gathered else [])}), subscribers(), clock.now()
    if gathered:
        gathered.delete()
    asking = _of(sweep, scope).filter(state=State.ASKING).first()
    if not too_many(len(who), of):
        _close(asking)
        return "", who
    confirmed = _of(sweep, scope).filter(state=State.CONFIRMED, until__gt=now).first()
    if confirmed and set(who) <= set(confirmed.who):
        _close(asking)
        everybody = who if confirmed.done_at else confirmed.who
        MassLoss.objects.filter(pk=confirmed.pk, done_at=None).update(done_at=now)
        return "", everybody
    row = asking or MassLoss(sweep=sweep, scope=scope, state=State.ASKING, asked_at=now)
    row.who, row.subscribers, row.job_key, row.seen_at = who, of, job_key, now
    row.save()
    return sentence_of(row), []


def _of(sweep: str, scope: str) -> QuerySet[MassLoss]:
    return MassLoss.objects.select_for_update().filter(sweep=sweep, scope=scope).order_by("-pk")


def _close(asking: MassLoss | None) -> None:
    if asking is not None:
        MassLoss.objects.filter(pk=asking.pk).update(state=State.GONE, seen_at=clock.now())


def words_of(sweep: str) -> str:
    """The sweep's name for staff."""
    return WORDS.get(sweep, sweep)


def sentence_of(row: MassLoss) -> str:
    """What is asked, for staff."""
    return (
        f"{words_of(row.sweep)} would take access from {len(row.who)} of {row.subscribers} subscribers; more"
        f" than {limit(row.subscribers)} at once need a confirmation. Nobody has lost anything: look at who they are under"
        " Mass guard, and confirm it there; or mend the cause, and the next sweep no longer asks."
    )


@transaction.atomic
def confirm(loss: MassLoss, *, expected: int, actor: str, reason: str) -> None:
    """Let the sweep take access from exactly the people it asked about, within a day; it goes on at once.

    `expected` is how many there were when staff looked. BadInput when that changed, or when nothing is asked any more.
    """
    row = MassLoss.objects.select_for_update().get(pk=loss.pk)
    if row.state != State.ASKING:
        raise BadInput("This is not asked any more.")
    if expected != len(row.who):
        raise BadInput(f"There are {len(row.who)} of them now. Look again.", field="confirmation")
    now = clock.now()
    row.state, row.decided_by, row.decided_at, row.reason = State.CONFIRMED, actor, now, reason
    row.until = now + CONFIRMED_FOR
    row.save()
    audit.record(
        subject=("massloss", row.pk), action="loss_confirmed", actor=actor, reason=reason,
        after={"sweep": row.sweep, "subscribers": len(row.who), "until": row.until.isoformat()},
    )  # fmt: skip
    jobs.defer(row.sweep, row.job_key, reason=f"confirmed by {actor}")
