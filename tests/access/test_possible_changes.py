"""The table of possible changes of access is what the policy can do: every pair in it happens, and no other."""

import datetime as dt
import itertools

import pytest

from apps.access import recording
from apps.access.policy import Facts, OverrideFact, SubscriptionFact, Terms, decide
from apps.accounts.models import UserProfile
from apps.core.models import AttentionItem, AuditEntry
from apps.core.states import POSSIBLE_CHANGES, AccessState, SubscriptionStatus
from tests.world import World

NOW = dt.datetime(2026, 9, 1, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
TERMS = Terms(grace=3 * DAY, expiry=30 * DAY)
S = SubscriptionStatus
# Of one subscription: never paid for, and what it can become from then on.
UNPAID = [None, SubscriptionFact("sub", S.INCOMPLETE), SubscriptionFact("sub", S.INCOMPLETE_EXPIRED)]
ONCE_PAID = [
    SubscriptionFact("sub", S.ACTIVE),
    SubscriptionFact("sub", S.TRIALING),
    SubscriptionFact("sub", S.ACTIVE, money_returned="refunded"),
    SubscriptionFact("sub", S.PAST_DUE, past_due_since=NOW - DAY),
    SubscriptionFact("sub", S.PAST_DUE, past_due_since=NOW - 9 * DAY),
    SubscriptionFact("sub", S.UNPAID),
    SubscriptionFact("sub", S.CANCELED, ended_at=NOW - DAY),
    SubscriptionFact("sub", S.CANCELED, ended_at=NOW - 40 * DAY),
]
STAFF = [(), ("hold",), ("grant",), ("keep_seat",)]


def facts(subscription: SubscriptionFact | None, kinds: tuple[str, ...], *, window: bool) -> Facts:
    return Facts(
        now=NOW,
        terms=TERMS,
        subscriptions=(subscription,) if subscription else (),
        overrides=tuple(OverrideFact(kind, NOW - DAY, NOW + DAY) for kind in kinds),
        recovering_until=NOW + DAY if window else None,
    )


def test_the_table_is_what_the_policy_can_do() -> None:
    """Anything may happen between two reconciles, but who has paid has paid, and a window opens only where access has ended."""
    every = list(itertools.product([*UNPAID, *ONCE_PAID], STAFF, [False, True]))
    seen = set()
    for (one, by, open_), (other, then_by, then_open) in itertools.product(every, every):
        if (one in ONCE_PAID and other in UNPAID) or (open_ and one in UNPAID):
            continue
        was = decide(facts(one, by, window=open_)).state
        if then_open and not (open_ or was.is_recoverable):
            continue
        became = decide(facts(other, then_by, window=then_open)).state
        seen.add((was, became))
    assert {pair for pair in seen if pair[0] != pair[1]} == set(POSSIBLE_CHANGES)


@pytest.mark.django_db
def test_an_impossible_change_is_made_and_told_to_staff(world: World) -> None:
    dana = world.subscriber("dana")
    UserProfile.objects.filter(pk=dana.pk).update(access_state="suspended")
    dana.refresh_from_db()
    nothing = facts(None, (), window=False)
    recording.record_decision(dana, nothing, decide(nothing))
    dana.refresh_from_db()
    assert dana.access_state == AccessState.NONE
    assert AuditEntry.objects.filter(action="access_changed").latest("pk").after["state"] == "none"
    item = AttentionItem.objects.get(cause="odd_change")
    assert (item.key, item.profile_ids) == (f"profile:{dana.pk}", [dana.pk])
