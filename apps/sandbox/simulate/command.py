"""`manage.py simulate`: many random lives through months, under faults, and whether everybody has what they should.

Exit code 0: nobody differs; 1: somebody does, or a law is broken; 2: it could not run to its end.
"""

import argparse
import contextlib
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from apps.sandbox.run import postgres
from apps.sandbox.run.demo import DemoError
from apps.sandbox.run.keycloak_distribution import KeycloakServerError
from apps.sandbox.run.postgres_programs import PostgresError
from apps.sandbox.simulate import snapshot
from apps.sandbox.simulate.calendar import MONTH_DAYS, Simulation, report
from apps.sandbox.simulate.lives import people
from apps.sandbox.simulate.stack import SimulatedStack, StuckError
from apps.sandbox.simulate.world import SimulatedWorld
from apps.sandbox.stripe_account import StripeAccount


def run(arguments: list[str]) -> int:
    """Run the command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except Exception:  # noqa: BLE001  (Python would exit with 1, which says that somebody differs)
        traceback.print_exc()
        print("The simulation broke off, by a fault of its own or of this machine.", file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:6.0f} s] {text}", file=sys.stderr, flush=True)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    kept = snapshot.find(options.folder) if options.resume and options.folder else None
    if options.resume and kept is None:
        print("There is nothing to continue: --folder names no simulation that was kept.", file=sys.stderr)
        return 2
    data = _make_folder(options.folder)
    stack = _prepare(data, options, kept)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            stack.claim()
            stack.start()
        stack.set_django_up()
        return _simulate(stack, options, kept, say)
    except (DemoError, PostgresError, KeycloakServerError, StuckError) as error:
        print(f"The simulation cannot go on: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "Interrupted." + (" --resume goes on with the month after the last one kept." if options.folder else ""),
            file=sys.stderr,
        )
        return 2
    finally:
        with contextlib.redirect_stdout(sys.stderr):
            stack.remove()
        shutil.rmtree(data, ignore_errors=True)


def _make_folder(folder: Path | None) -> Path:
    """An empty folder for the processes, which Postgres' own account can reach. What a killed run left there is removed."""
    if folder is None:
        data = Path(tempfile.mkdtemp(prefix="frontdesk-simulate-", dir="/var/tmp"))
    else:
        data = folder.resolve() / "run"
        if data.exists():
            postgres.stop(data / "postgres", remove=True)
            shutil.rmtree(data)
        data.mkdir(parents=True)
    data.chmod(0o755)
    return data


def _prepare(data: Path, options: argparse.Namespace, kept: dict[str, Any] | None) -> SimulatedStack:
    """The processes, not started; with a snapshot on the same ports, and with its files and tables."""
    if kept is None:
        return SimulatedStack(data, settings=options.settings, real_keycloak=options.keycloak == "real")
    snapshot.lay_out(options.folder, data, kept)
    options.seed, options.months, options.faults = kept["seed"], kept["months"], kept["faults"]
    options.subscribers, options.compare_days = len(kept["lives"]), kept["compare_days"]
    options.step_days = kept["step_days"]
    port, sandbox_port = kept["ports"]
    fill = partial(snapshot.load_dump, options.folder)
    return SimulatedStack(data, settings=options.settings, ports=(port, sandbox_port), fill=fill)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="manage.py simulate", description=__doc__)
    parser.add_argument("--subscribers", type=int, default=20, help="how many lives (20)")
    parser.add_argument("--months", type=int, default=3, help="of thirty days (3)")
    parser.add_argument("--seed", type=int, default=7, help="the same seed, the same lives (7)")
    parser.add_argument("--faults", action="store_true", help="lose events, kill workers, let systems be down")
    parser.add_argument(
        "--keycloak", choices=["sandbox", "real"], default="sandbox", help="the stand-in, or a real one"
    )
    parser.add_argument(
        "--compare-days",
        type=int,
        help="compare so often, and at each month's end; by default 10, beyond 100 lives 15",
    )
    parser.add_argument(
        "--step-days", type=int, help="how far the clock moves at once; by default 1, beyond 20 lives 3, beyond 100 5"
    )
    parser.add_argument("--stop", action="store_true", help="end with the first comparison that finds a difference")
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    parser.add_argument("--folder", type=Path, help="keep the state at each month's end there")
    parser.add_argument(
        "--resume", action="store_true", help="go on with what --folder keeps; only --folder counts then"
    )
    parser.add_argument("--settings", default="config.settings", help="the settings module of web and workers")
    return parser


def _simulate(
    stack: SimulatedStack, options: argparse.Namespace, kept: dict[str, Any] | None, say: Callable[[str], None]
) -> int:
    began = time.monotonic()
    world = SimulatedWorld(stack, StripeAccount(stack.sandbox))
    world.read_prices()
    lives = people(options.seed, options.subscribers, options.months * MONTH_DAYS)
    simulation = Simulation(
        world,
        lives,
        options.seed,
        options.months,
        options.faults,
        say,
        options.compare_days or (10 if options.subscribers <= 100 else 15),
        options.stop,
        options.step_days or choose_step(options.subscribers),
    )
    if kept is None:
        make_room(options.subscribers)
    else:
        snapshot.restore(simulation, kept)
    keep = partial(snapshot.keep, folder=options.folder) if options.folder and options.keycloak != "real" else None
    try:
        simulation.run(at_month_end=keep)
    finally:  # also what a run has found that cannot go on
        print(report(simulation, seconds=time.monotonic() - began, as_json=options.json))
    return 1 if simulation.found or simulation.broken else 0


def choose_step(people: int) -> int:
    """Each step costs a night: a sync of everybody, and each check of everything."""
    return 1 if people <= 20 else 3 if people <= 100 else 5


def make_room(people: int) -> None:
    """Instances for so many; the demo's catalog has room for a hundred."""
    from apps.catalog.models import Product
    from apps.instances import deployments
    from apps.instances.models import Instance

    for app, number in (("nextcloud", 3), ("vaultwarden", 2)):
        slug = f"{app}-{number}"
        made = Instance(
            product=Product.objects.get(slug=app), slug=slug, name=slug, url=f"https://{slug}.example.com/",
            soft_cap=people, allocation_cap=people * 2, hard_cap=people * 3,
        )  # fmt: skip
        deployments.create_instance(made, actor="staff:ada", reason="simulation")
