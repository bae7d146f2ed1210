"""How long the laws take that the database answers, each by itself and all, over subscribers for whom all of them hold.

Those that ask Stripe, Keycloak or the log read a slice or what a comparison left, so how many subscribers there are costs them
nothing. L16 is measured and not judged: here is no worker.
"""

import sys

from apps.core import laws
from apps.core.laws import LawState, Source
from apps.sandbox.bench import databases
from apps.sandbox.bench.goals import Figure
from apps.sandbox.bench.measure import spread

ROUNDS = 3


def measure(*, rows: int) -> list[Figure]:
    """Seconds, and how many laws are broken or cannot be checked."""
    databases.use(databases.make(rows))
    try:
        checked = [one for one in laws.all_laws() if one.source == Source.DATABASE]
        rounds = [laws.run([one.number for one in checked]) for _ in range(ROUNDS)]
    finally:
        databases.use(databases.first())
    failed = {one.law.number: one for each in rounds for one in each if one.state != LawState.OK}
    failed.pop(laws.NEEDS_A_WORKER, None)
    for number, one in failed.items():
        why = one.reason or "; ".join(each.words for each in one.checked.violations[:3])
        print(f"{number} {one.law.title}: {why}", file=sys.stderr)
    figures = [
        Figure("laws", f"{law.number} {law.title}", spread([one.seconds for one in times]), "s")
        for law, *times in zip(checked, *rounds, strict=True)
    ]
    every = spread([sum(one.seconds for one in each) for each in rounds])
    return [
        Figure("laws", f"all of the database at {rows:,}", every, "s"),
        Figure("laws", "broken or not checked", spread([float(len(failed))])),
        *figures,
    ]
