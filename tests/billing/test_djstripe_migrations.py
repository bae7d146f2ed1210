"""Our one migration of dj-stripe makes exactly what its own chain makes, in the database and in Django's records."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.conf import settings
from psycopg import sql

# Everything Postgres knows of a schema, as text, without numbers that differ from database to database.
QUESTIONS = {
    "columns": """
        SELECT c.relname, c.relkind, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
               pg_get_expr(d.adbin, d.adrelid), l.collname
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        LEFT JOIN pg_collation l ON l.oid = a.attcollation
        WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1, 3""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, contype, condeferrable, condeferred, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2""",
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2",
    "triggers": "SELECT tgrelid::regclass::text, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2",
    "functions": "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1, 2",
    "content types": "SELECT app_label, model FROM django_content_type ORDER BY 1, 2",
}
# Their answers in a database that dj-stripe 2.11's own chain has made; the long test below makes one and looks again.
RECORDED = {
    "columns": "b27e2da8b9047e2a",
    "constraints": "e47d610b600fb754",
    "indexes": "83f35ab2cd70a313",
    "triggers": "e3b0c44298fc1c14",
    "functions": "e3b0c44298fc1c14",
    "content types": "bd1157f9787d7763",
}
UPSTREAM = {"0001_initial", "0002_2_10", "0003_2_11"}


@contextmanager
def built_by(chain: str) -> Iterator[psycopg.Connection]:
    """A scratch database that a fresh process has migrated along `chain`."""
    server = settings.DATABASES["default"]
    name = f"djstripe_{chain}_{os.getpid()}"
    where = {
        "host": server["HOST"],
        "port": server["PORT"] or "5432",
        "user": server["USER"],
        "password": server["PASSWORD"],
    }
    with psycopg.connect(**where, dbname="postgres", autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            environment = os.environ | {
                "DJSTRIPE_CHAIN": chain, "POSTGRES_DB": name, "POSTGRES_HOST": where["host"], "POSTGRES_PORT": where["port"],
                "POSTGRES_USER": where["user"], "POSTGRES_PASSWORD": where["password"],
            }  # fmt: skip
            command = [
                sys.executable,
                "-m",
                "django",
                "migrate",
                "-v0",
                "--settings",
                "tests.billing.djstripe_settings",
            ]
            done = subprocess.run(
                command,
                env=environment,
                cwd=settings.BASE_DIR,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            with psycopg.connect(**where, dbname=name, autocommit=True) as connection:
                yield connection
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def digests(connection: psycopg.Connection) -> dict[str, str]:
    """The answers to QUESTIONS, each as a short name for all of it."""
    answers = {subject: sorted(map(repr, connection.execute(question))) for subject, question in QUESTIONS.items()}
    return {subject: hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16] for subject, rows in answers.items()}


def test_one_file_makes_the_schema_that_was_recorded_of_the_upstream_chain() -> None:
    with built_by("ours") as ours:
        assert digests(ours) == RECORDED


@pytest.mark.nightly
@pytest.mark.xdist_group("djstripe_migrations")
def test_one_file_makes_the_schema_of_the_upstream_chain() -> None:
    """Slow: Django renders all of dj-stripe's models anew for each of 519 removed fields."""
    with built_by("upstream") as upstream, built_by("ours") as ours:
        for subject, question in QUESTIONS.items():
            expected, found = set(upstream.execute(question)), set(ours.execute(question))
            assert found == expected, f"{subject} differ"
        assert digests(upstream) == RECORDED
        assert len(set(ours.execute(QUESTIONS["indexes"]))) > 400  # the questions do see dj-stripe's tables
        applied = "SELECT name FROM django_migrations WHERE app = 'djstripe'"
        assert {name for (name,) in upstream.execute(applied)} == UPSTREAM
        assert {name for (name,) in ours.execute(applied)} == UPSTREAM | {"0001_squashed_0003_2_11"}
