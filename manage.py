#!/usr/bin/env python
"""Django's command line; `manage.py demo`, `bench`, `simulate` and `test` prepare their own environment before Django reads settings."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured


def main() -> None:
    """Run the command named on the command line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if sys.argv[1:2] == ["demo"]:
        from apps.sandbox.run.demo import run

        sys.exit(run(sys.argv[2:]))
    if sys.argv[1:2] == ["bench"]:
        from apps.sandbox.bench.command import run as bench

        sys.exit(bench(sys.argv[2:]))
    if sys.argv[1:2] == ["simulate"]:
        from apps.sandbox.simulate.command import run as simulate

        sys.exit(simulate(sys.argv[2:]))
    if sys.argv[1:2] == ["seed_bench"]:
        from apps.sandbox.bench.seed import run as seed

        sys.exit(seed(sys.argv[2:]))
    if sys.argv[1:2] == ["faults"]:
        from apps.sandbox.fault_list import run as faults

        sys.exit(faults(sys.argv[2:]))
    if sys.argv[1:2] == ["test"]:
        from config.testing import run as test

        test(sys.argv[2:])
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"Frontdesk cannot start: {error}")


if __name__ == "__main__":
    main()
