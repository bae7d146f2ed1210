"""`python -m apps.sandbox.populate`: a year of sixty people in a demo that has just started, a year ago by its clock.

Everything goes the real ways: the functions of the wizard, the stand-ins of Stripe and Keycloak, the clock, events, jobs. The same
people do the same things each time. `manage.py demo --populate` starts it, in the environment of the demo's processes.
"""

import argparse
import datetime as dt
import sys
import time
from pathlib import Path

from apps.sandbox.populate.year import Year
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
    options = parser.parse_args()
    began = time.monotonic()
    stack = SimulatedStack(options.data, settings="config.settings", ports=(options.port, options.sandbox_port))
    stack.set_django_up()
    year = Year(SimulatedWorld(stack, StripeAccount(stack.sandbox)), dt.datetime.now(dt.UTC))
    year.live()
    stack.control("save")
    write_whom_to_look_at(options.data, year.whom_to_look_at())
    print(f"  lived in {time.monotonic() - began:.0f} s\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
