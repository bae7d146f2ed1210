"""Intake of one Stripe event beside a view that does nothing."""

from collections.abc import Callable
from functools import partial

from apps.sandbox.bench.counters import counting
from apps.sandbox.bench.goals import Figure
from apps.sandbox.bench.measure import CONTROL, compare, repeat, spread
from apps.sandbox.bench.requests_in_process import BARE, WEBHOOK, Application, event, request

COUNTED = 20


def measure(*, rows: int) -> list[Figure]:  # noqa: ARG001  (intake does not depend on them)
    """Counts of one new event, then CPU and wall."""
    application = Application()
    for _ in range(COUNTED):
        application.answer(request(WEBHOOK, event()))
    counts = []
    for _ in range(COUNTED):
        environ = request(WEBHOOK, event())
        with counting() as found:
            application.answer(environ)
        counts.append(found)
    figures = [
        Figure("webhook", name, spread([float(getattr(one, field)) for one in counts]), unit)
        for name, field, unit in (
            ("queries", "queries", ""),
            ("commits", "commits", ""),
            ("calls", "calls", ""),
            ("WAL", "wal", "bytes"),
        )
    ]

    def post(path: str, count: int) -> Callable[[], None]:
        environs = [request(path, event()) for _ in range(count)]
        return repeat(application.answer, environs)

    ratios = compare({"bare": partial(post, BARE), "ours": partial(post, WEBHOOK)})
    return [
        *figures,
        Figure("webhook", "app CPU, ours / bare view", ratios["ours"]["app"]),
        Figure("webhook", "app and Postgres CPU, ours / bare view", ratios["ours"]["cpu"]),
        Figure("webhook", "wall, ours / bare view", ratios["ours"]["wall"]),
        Figure("webhook", "app CPU, bare view / itself", ratios[CONTROL]["app"]),
    ]
