"""`python -m apps.sandbox.populate`: a year of sixty people in a demo that has just started, a year ago by its clock.

Everything goes the real ways: the functions of the wizard, the stand-ins of Stripe and Keycloak, the clock, events, jobs. The same
people do the same things each time. `manage.py demo --populate` starts it, in the environment of the demo's processes.
"""

import argparse
import datetime as dt
import sys
import time
from pathlib import Path

from apps.sandbox.populate import house
from apps.sandbox.populate.acts import username_of
from apps.sandbox.populate.people import TWO_DEVICES
from apps.sandbox.populate.year import Year
from apps.sandbox.run import kept_year
from apps.sandbox.run.populated import write_whom_to_look_at
from apps.sandbox.simulate.stack import SimulatedStack
from apps.sandbox.simulate.world import SimulatedWorld
from apps.sandbox.stripe_account import StripeAccount


def main() -> int:
    """Populate; 0 when all is done."""
    parser = argparse.ArgumentParser(prog="python -m apps.sandbox.populate", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the demo's folder")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--sandbox-port", type=int, required=True)
    parser.add_argument("--keep", action="store_true", help="keep the year for the next demo")
    parser.add_argument("--kept", type=Path, help="the kept year that the demo has started with")
    options = parser.parse_args()
    stack = SimulatedStack(options.data, settings="config.settings", ports=(options.port, options.sandbox_port))
    text = kept_year.read_text(options.kept) if options.kept else _live(stack, keep=options.keep)
    house.log_in_twice(stack.site, username_of(TWO_DEVICES))  # each time: a session lives for hours
    write_whom_to_look_at(options.data, text)
    return 0


def _live(stack: SimulatedStack, *, keep: bool) -> str:
    """Have all of them live the year; returns whom to look at."""
    began = time.monotonic()
    stack.set_django_up()
    year = Year(SimulatedWorld(stack, StripeAccount(stack.sandbox)), dt.datetime.now(dt.UTC))
    year.live()
    text = year.whom_to_look_at()
    stack.control("save")
    if keep:
        kept_year.keep(stack.data, (stack.port, stack.sandbox_port), text)
    print(f"  lived in {time.monotonic() - began:.0f} s\n", flush=True)
    return text


if __name__ == "__main__":
    sys.exit(main())
