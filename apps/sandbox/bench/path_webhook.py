"""Intake of one Stripe event beside a view that does nothing, and beside one that only stores the body in a row."""

from collections.abc import Callable
from functools import partial

from apps.sandbox.bench import processes
from apps.sandbox.bench.counters import counting
from apps.sandbox.bench.goals import Figure
from apps.sandbox.bench.measure import CONTROL, compare, repeat, spread
from apps.sandbox.bench.requests_in_process import BARE, STORED, WEBHOOK, Application, event, request, sign
from apps.sandbox.bench.rows import execute
from apps.sandbox.run.servers import free_port

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
        *_behind_granian(),
        Figure("webhook", "app CPU, ours / bare view", ratios["ours"]["app"]),
        Figure("webhook", "app and Postgres CPU, ours / bare view", ratios["ours"]["cpu"]),
        Figure("webhook", "wall, ours / bare view", ratios["ours"]["wall"]),
        Figure("webhook", "app CPU, bare view / itself", ratios[CONTROL]["app"]),
    ]


def _behind_granian() -> list[Figure]:
    """CPU of the web server's processes, over HTTP; the client's is not counted."""
    port = free_port()
    execute("CREATE TABLE IF NOT EXISTS bench_body (body text)")
    with processes.running(processes.granian(port), ready=processes.accepts(port)) as web:
        peer, database = processes.Peer(port), processes.postmaster()

        def post(path: str, count: int) -> Callable[[], None]:
            bodies = [event() for _ in range(count)]
            return repeat(lambda body: peer.post(path, body, sign(body)), bodies)

        def meter() -> tuple[float, float]:
            return processes.cpu_of(web.pid), processes.cpu_of(database)

        works = {"bare": partial(post, BARE), "ours": partial(post, WEBHOOK), "stored": partial(post, STORED)}
        ratios = compare(works, seconds=0.7, meter=meter)
        beside = compare({"stored": works["stored"], "ours": works["ours"]}, seconds=0.7, meter=meter)
    return [
        Figure("webhook", "granian's CPU, ours / a view that stores the body", beside["ours"]["app"]),
        Figure("webhook", "granian's CPU, a view that stores the body / bare view", ratios["stored"]["app"]),
        Figure("webhook", "granian's CPU, ours / bare view", ratios["ours"]["app"]),
        Figure("webhook", "granian's CPU, bare view / itself", ratios[CONTROL]["app"]),
    ]
