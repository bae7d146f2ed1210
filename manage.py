#!/usr/bin/env python
"""Django's command line; those of OWN prepare their own environment before Django reads settings."""

import os
import sys
from contextlib import nullcontext
from importlib import import_module

from django.core.exceptions import ImproperlyConfigured

# The module of each: its `run` takes the words after the name and returns an exit code.
OWN = {
    "bench": "apps.sandbox.bench.command",
    "demo": "apps.sandbox.run.demo",
    "faults": "apps.sandbox.fault_list",
    "seed_bench": "apps.sandbox.bench.seed",
    "setup": "apps.operations.setup.command",
    "simulate": "apps.sandbox.simulate.command",
    "test": "config.testing",
}


def main() -> None:
    """Run the command named on the command line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if sys.argv[1:2] and sys.argv[1] in OWN:
        sys.exit(import_module(OWN[sys.argv[1]]).run(sys.argv[2:]))
    from django.core.management import execute_from_command_line

    from apps.core import log_streams
    from config.environment import boolean

    is_service = sys.argv[1:2] == ["worker"]
    try:
        is_service = is_service or boolean("LOG_COMMANDS", default=False)
        with log_streams.taken_over(".".join(["manage", *sys.argv[1:2]])) if is_service else nullcontext():
            execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        if is_service:
            log_streams.refuse_to_start(error)
        sys.exit(f"Frontdesk cannot start: {error}")


if __name__ == "__main__":
    main()
