"""What several subscriptions of one person give together, and whose money they are. No Django, no I/O."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from apps.access.policy_facts import SubscriptionFact
from apps.catalog.entitlements import Entitlements, total


def entitlements_together(paid: Iterable[SubscriptionFact], in_grace: Iterable[SubscriptionFact]) -> Entitlements:
    """The sum of what gives access now, the paid ones first, whatever their order."""
    return total(_each_number_once([*sorted(paid, key=_first_counted), *sorted(in_grace, key=_first_counted)]))


def _first_counted(one: SubscriptionFact) -> tuple[object, ...]:
    """Which of two that give access counts first: not late, or the shorter time; then the dearer; then the older."""
    late = one.past_due_since.timestamp() if one.past_due_since and not one.status.gives_access else 0
    ends = one.current_period_end.timestamp() if one.current_period_end else 0
    return bool(late), -late, -one.amount, ends, one.id


def _each_number_once(running: list[SubscriptionFact]) -> Iterator[Entitlements]:
    """What these give: a second subscription adds apps and other add-ons, but no number that a plan or the same add-on gives already."""
    counted: set[int] = set()
    has_plan = False
    for one in running:
        for line in one.lines:
            is_double = line.product in counted or (has_plan and line.entitlements.apps)
            yield replace(line.entitlements, grants={}) if is_double else line.entitlements
        counted |= {line.product for line in one.lines}
        has_plan |= bool(one.entitlements.apps)


def are_shared(subscriptions: Iterable[SubscriptionFact]) -> bool:
    """Whether another one pays for all of these; somebody who has one of their own too reads about that."""
    return all(one.shared for one in subscriptions)


def ended_last(canceled: Iterable[SubscriptionFact]) -> SubscriptionFact:
    """The one that ended last; before that, one of somebody else's that may be shared again, and has no end."""

    def order(one: SubscriptionFact) -> tuple[object, ...]:
        known = one.ended_at.timestamp() if one.ended_at else 0
        return one.shared and one.ended_at is None, known, one.id

    return max(canceled, key=order)
