"""Stripe is compared with our rows, and the customers that differ are mirrored: every hour what changed lately, every night everything.

The hourly run asks for the events of the last hours, for refunds, credit notes and disputes, and for those of whom a date has
come that we know; the nightly one for all subscriptions, too.

Each slice is a job of its own that names the next, so a killed slice is simply repeated. A list that would take access from
many is doubted, not believed: those with whom somebody would lose, also somebody for whom they pay, are mirrored last, when the
whole list was seen, and only if they are few or staff have confirmed it (safeguard.py).
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from django.db.models import QuerySet

from apps.access.terms import read_terms
from apps.accounts.models import UserProfile
from apps.billing import comparison, mirror, money_comparison, recent_changes
from apps.core import comparison_runs, jobs
from apps.core.comparison_runs import Tally
from apps.core.errors import NeedsOperator
from apps.core.models import Job
from apps.operations import safeguard
from apps.operations.payers_at_stake import find_at_stake, find_payers

KIND = "compare_subscriptions"
RECENT = "compare_recent_changes"
REASON = "differs from Stripe"
HOUR, DAY = 3600, 86_400


def register() -> None:
    """Make the periodic job kinds known."""
    jobs.register(
        RECENT,
        compare_recent_changes,
        label="Compare recent changes with Stripe",
        needs=("stripe",),
        every=HOUR,
        importance=Job.Importance.SWEEP,
    )
    jobs.register(
        KIND,
        compare_subscriptions,
        label="Compare with Stripe",
        needs=("stripe",),
        every=DAY,
        importance=Job.Importance.SWEEP,
    )


def compare_recent_changes(key: str) -> None:
    """Mirror who changed after we last fetched them, and whose money went back; a long list goes on in a further job.

    A change with an event of its own is nobody's mistake in a list; money that went back without one is held to the limit.
    """
    following = key if key.startswith("evt_") else ""
    run = comparison_runs.resume(RECENT) if following else comparison_runs.begin(RECENT)
    found = recent_changes.find_changes(following)
    due = frozenset[str]() if following else recent_changes.find_due()
    fixed = _mirror(UserProfile.objects.filter(stripe_customer_id__in=found.customers | due))
    looked_at, held, allowed = found.looked_at + len(due), list[int](), list[int]()
    if found.following:
        jobs.defer(RECENT, found.following, reason="the next slice")
    if not following:
        money = money_comparison.compare_money()
        looked_at += len(money.differing)
        fixed += _mirror(UserProfile.objects.filter(stripe_customer_id__in=money.differing - money.losing))
        at_stake = find_at_stake(money.losing)
        held = _hold(money.losing, at_stake)
        fixed += _mirror(UserProfile.objects.filter(stripe_customer_id__in=money.losing).exclude(pk__in=held))
        with _stopping(run, _tally(looked_at, fixed, held)):
            allowed = _mirror(find_payers(safeguard.check(RECENT, job_key=key, losing=at_stake)))
    comparison_runs.add(run, _tally(looked_at, fixed, held, allowed), ended=not found.following)


def compare_subscriptions(key: str) -> None:
    """Compare one slice of Stripe's list with ours, mirror the customers that differ, and queue the next slice.

    Raises NeedsOperator when the walk would take access from more than max(20, 5 %): then the list is to be doubted.
    """
    cursor = comparison.Cursor.read(key)
    if not cursor.after:
        if _in_progress():
            return
        safeguard.start_collecting(KIND)
    run = comparison_runs.resume(KIND) if cursor.after else comparison_runs.begin(KIND)
    found = comparison.compare_slice(cursor, pause_may_close=read_terms().pause_may_close)
    differ, lose = found.differing, found.losing
    if not cursor.after:
        money = money_comparison.compare_money()
        differ, lose = differ | money.differing, lose | money.losing
    at_stake = find_at_stake(lose, fewer={who: many for who, many in found.fewer.items() if who not in lose})
    held = _hold(lose.union(found.fewer), at_stake)
    safeguard.collect(KIND, at_stake)
    fixed = _mirror(UserProfile.objects.filter(stripe_customer_id__in=differ | lose).exclude(pk__in=held))
    allowed: list[int] = []
    if found.following:
        jobs.defer(KIND, found.following.key(), reason="the next slice")
    else:
        with _stopping(run, _tally(found.looked_at, fixed, held)):
            allowed = _mirror(find_payers(safeguard.check(KIND, job_key=key)))
    comparison_runs.add(run, _tally(found.looked_at, fixed, held, allowed), ended=not found.following)


def _hold(customers: Collection[str], at_stake: Collection[int]) -> list[int]:
    """Those of these customers with whom somebody would lose access: they are fetched last."""
    payers = find_payers(at_stake).filter(stripe_customer_id__in=customers)
    return list(payers.order_by("pk").values_list("pk", flat=True))


def _mirror(profiles: QuerySet[UserProfile]) -> list[int]:
    """Have each fetched again; returns who they are."""
    found = list(profiles.order_by("pk").values_list("pk", "stripe_customer_id"))
    for _, customer in found:
        mirror.mirror_later(str(customer), reason=REASON, importance=Job.Importance.SWEEP)
    return [pk for pk, _ in found]


def _tally(looked_at: int, fixed: list[int], held: list[int], allowed: Collection[int] = ()) -> Tally:
    """Those who are fetched again, and those `held` until the whole list was seen: both differ. `allowed`: of them, or of earlier slices."""
    differing = dict.fromkeys((*fixed, *held))
    items = tuple(("profile", pk, "stripe") for pk in differing)
    return Tally(looked_at, found=len(differing), fixed=len({*fixed}) + len(allowed), items=items)


@contextmanager
def _stopping(run: int, so_far: Tally) -> Iterator[None]:
    """Where the safeguard stops a run, it has ended, and what it has not fixed is left to staff."""
    try:
        yield
    except NeedsOperator:
        comparison_runs.add(run, so_far, ended=True, left_to_staff=True)
        raise


def _in_progress() -> bool:
    return Job.objects.filter(kind=KIND, state__in=Job.UNFINISHED, key__contains=":").exists()
