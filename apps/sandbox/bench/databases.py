"""Several sizes of the same database in the benchmark's Postgres, and a switch between them."""

import os

from django.core.management import call_command
from django.db import connection

from apps.sandbox.bench import seed
from apps.sandbox.bench.rows import execute


def use(name: str) -> None:
    """Connect to the database of that name."""
    if connection.settings_dict["NAME"] != name:
        connection.close()
        connection.settings_dict["NAME"] = name
        connection.ensure_connection()


def make(rows: int) -> str:
    """A database with so many subscribers; its name. One that was made before is used again."""
    name, before = f"bench_{rows}", connection.settings_dict["NAME"]
    if not execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]):
        execute(f"CREATE DATABASE {name}")
        use(name)
        call_command("migrate", interactive=False, verbosity=0)
        call_command("createcachetable", verbosity=0)
        seed.fill(rows)
    use(str(before))
    return name


def first() -> str:
    """The name of the database that the benchmark began with."""
    return os.environ["POSTGRES_DB"]
