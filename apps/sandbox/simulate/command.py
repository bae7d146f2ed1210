"""`manage.py simulate`: many random lives through months, under faults, and whether everybody has what they should.

Exit code 0: nobody differs; 1: somebody does; 2: it could not run to its end.
"""

import argparse
import contextlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from apps.sandbox.run.demo import DemoError
from apps.sandbox.run.keycloak_distribution import KeycloakServerError
from apps.sandbox.run.postgres_programs import PostgresError
from apps.sandbox.simulate.stack import SimulatedStack, StuckError
from apps.sandbox.stripe_account import StripeAccount


def run(arguments: list[str]) -> int:
    """Run the command; returns the exit code."""
    options = _parser().parse_args(arguments)
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:6.0f} s] {text}", file=sys.stderr, flush=True)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    folder = Path(tempfile.mkdtemp(prefix="frontdesk-simulate-", dir="/var/tmp"))  # Postgres' own account can reach it
    folder.chmod(0o755)
    stack = SimulatedStack(folder, settings=options.settings, real_keycloak=options.keycloak == "real")
    try:
        with contextlib.redirect_stdout(sys.stderr):
            stack.claim()
            stack.start()
        stack.set_django_up()
        return _simulate(stack, options, say, began)
    except (DemoError, PostgresError, KeycloakServerError, StuckError) as error:
        print(f"The simulation cannot go on: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 2
    finally:
        with contextlib.redirect_stdout(sys.stderr):
            stack.remove()
        shutil.rmtree(folder, ignore_errors=True)


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
    parser.add_argument("--compare-days", type=int, default=10, help="compare so often, and at each month's end (10)")
    parser.add_argument("--stop", action="store_true", help="end with the first comparison that finds a difference")
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    parser.add_argument("--settings", default="config.settings", help="the settings module of web and workers")
    return parser


def _simulate(stack: SimulatedStack, options: argparse.Namespace, say: Callable[[str], None], began: float) -> int:
    from apps.sandbox.simulate.calendar import Simulation, report
    from apps.sandbox.simulate.lives import people
    from apps.sandbox.simulate.world import SimulatedWorld

    world = SimulatedWorld(stack, StripeAccount(stack.sandbox))
    world.read_prices()
    make_room(options.subscribers)
    lives = people(options.seed, options.subscribers, options.months * 30)
    simulation = Simulation(
        world, lives, options.seed, options.months, options.faults, say, options.compare_days, options.stop
    )
    simulation.run()
    print(report(simulation, seconds=time.monotonic() - began, as_json=options.json))
    return 1 if simulation.found else 0


def make_room(people: int) -> None:
    """Instances for so many; the demo's catalogue has room for a hundred."""
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
