"""`manage.py seed_bench --rows N`: subscribers with what a year leaves after the nightly pruning. For empty databases.

Everything is made by Postgres itself, from numbers, the same each time. All laws of the database hold, and the audit trail's chains are
valid; nobody of them exists in Stripe or Keycloak.
"""

import argparse
import os
import sys
import time

import django
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

USAGE = "Fill an empty database with subscribers, to see Frontdesk at a size. Never where real ones will be."


class SeedError(Exception):
    """The database cannot be filled; the message is for the person at the terminal."""


def run(arguments: list[str]) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="manage.py seed_bench", description=USAGE)
    parser.add_argument("--rows", type=int, required=True, help="how many subscribers")
    options = parser.parse_args(arguments)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    try:
        call_command("migrate", interactive=False, verbosity=0)
        seconds = fill(options.rows)
    except (SeedError, DatabaseError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{options.rows:,} subscribers in {seconds:.0f} s.")
    return 0


def fill(rows: int) -> float:
    """Make so many subscribers and all that belongs to them; returns the seconds. SeedError where there is one already."""
    from apps.accounts.models import UserProfile
    from apps.sandbox.bench import people

    if rows < 1:
        raise SeedError("--rows must be at least 1.")
    if UserProfile.objects.exists():
        raise SeedError("This database has subscribers already; nothing was changed.")
    began = time.monotonic()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off; SET LOCAL maintenance_work_mem = '512MB'")
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        if cursor.fetchone()[0]:
            cursor.execute("SET LOCAL session_replication_role = replica")  # the keys are right by construction
        people.insert_all(rows)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")
    return time.monotonic() - began
