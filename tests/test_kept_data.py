"""A database filled under the schema of 0.1.0 is migrated, and everything is found again under its new names."""

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.conf import settings
from psycopg import sql

from apps.core.audit import digest
from apps.core.models import AuditEntry

# The newest migrations of 0.1.0, one target for each app that has moved on.
OLD = [
    ("contenttypes", None),
    ("auth", None),
    ("core", "0002_audit_only_grows"),
    ("accounts", "0004_mass_guard"),
    ("access", "0004_sync_runs"),
    ("storefront", "0002_waitlist_invitations"),
    ("instances", "0001_initial"),
    ("billing", "0001_initial"),
    ("notifications", "0001_initial"),
    ("admin", None),
    ("django_q", None),
]
NOW = dt.datetime(2027, 1, 14, 12, 0, tzinfo=dt.UTC)
DEFAULTS = {
    "boolean": False, "integer": 0, "smallint": 0, "bigint": 0, "jsonb": "{}", "timestamp with time zone": NOW,
    "character varying": "", "text": "", "uuid": "00000000-0000-4000-8000-000000000001", "ARRAY": [],
}  # fmt: skip


class Database:
    """A scratch database: its schema by manage.py, its rows by plain SQL, so that no model of today has a say."""

    def __init__(self, connection: psycopg.Connection, environment: dict[str, str]) -> None:
        self.connection = connection
        self.environment = environment

    def migrate(self, *targets: tuple[str, str | None]) -> None:
        calls = "; ".join(
            f"call_command('migrate', *{[part for part in target if part]!r}, verbosity=0)" for target in targets
        )
        code = f"import django; django.setup(); from django.core.management import call_command; {calls or MIGRATE}"
        subprocess.run([sys.executable, "-c", code], cwd=settings.BASE_DIR, env=self.environment, check=True)

    def insert(self, table: str, **values: Any) -> int:
        """A row with these values, and harmless ones where the table wants some; returns its id, if it has a number."""
        columns = self.connection.execute(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s AND is_nullable = 'NO'"
            " AND column_default IS NULL AND is_identity = 'NO'",
            [table],
        ).fetchall()
        row = {name: DEFAULTS[kind] for name, kind in columns if name not in values} | values
        row = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in row.items()}
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING *").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join([sql.Placeholder()] * len(row)),
        )
        found = self.connection.execute(statement, list(row.values())).fetchone()
        assert found
        return int(found[0]) if str(found[0]).isdecimal() else 0

    def column(self, query: str) -> list[Any]:
        return [value for (value,) in self.connection.execute(query).fetchall()]  # type: ignore[arg-type]


MIGRATE = "call_command('migrate', verbosity=0)"


@pytest.fixture
def old() -> Iterator[Database]:
    """A database as 0.1.0 left it, still empty."""
    server = settings.DATABASES["default"]
    name = f"kept_{os.getpid()}"
    where = {"host": server["HOST"], "port": server["PORT"], "user": server["USER"], "password": server["PASSWORD"]}
    with psycopg.connect(**where, dbname="postgres", autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            with psycopg.connect(**where, dbname=name, autocommit=True) as connection:
                environment = os.environ | {"POSTGRES_DB": name, "DJANGO_SETTINGS_MODULE": "config.settings"}
                database = Database(connection, environment)
                database.migrate(*OLD)
                yield database
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def person(old: Database, name: str, state: str) -> int:
    user = old.insert("auth_user", username=name, email=f"{name}@example.com", password="!")
    return old.insert(
        "accounts_userprofile",
        user_id=user, email=f"{name}@example.com", access_state=state, stripe_customer_id=f"cus_{name}",
        onboarding_id=f"00000000-0000-4000-8000-{user:012}",
    )  # fmt: skip


def tell(old: Database, kind: str, identity: int, *actions: str) -> None:
    """A chain of audit entries, as core.audit wrote it."""
    last = ""
    for number, action in enumerate(actions):
        values: dict[str, Any] = {
            "at": NOW + dt.timedelta(seconds=number), "subject_kind": kind, "subject_id": str(identity), "action": action,
            "actor": "staff:ada", "reason": "because", "before": {}, "after": {"number": number}, "prev_hash": last,
        }  # fmt: skip
        last = digest(AuditEntry(**values))
        old.insert("core_auditentry", **values, hash=last)


def fill(old: Database) -> dict[str, int]:
    """At least one row of everything whose table, column or value has another name today."""
    people = {state: person(old, state, state) for state in ("active", "held", "canceled", "suspended")}
    dana = people["active"]
    product = old.insert(
        "catalog_product", slug="cloud", name="Cloud", is_app=True, needs_instance=True, max_quantity=1
    )
    group = old.insert("auth_group", name="/frontdesk/cloud-1")
    instance = old.insert(
        "instances_instance", slug="cloud-1", name="Cloud 1", product_id=product, group_id=group, is_active=True,
        soft_cap=1, allocation_cap=2, hard_cap=3, allocated_seats=2,
    )  # fmt: skip
    where = {"product_id": product, "instance_id": instance}
    old.insert("instances_seat", profile_id=dana, state="held", held_until=NOW, **where)
    old.insert("instances_seat", profile_id=people["canceled"], state="retained", **where)
    for kind, ends in (("hold", None), ("keep_place", NOW + dt.timedelta(days=9))):
        old.insert(
            "access_accessoverride", profile_id=dana, kind=kind, reason="asked", created_by="staff:ada", ends_at=ends
        )
    old.insert("access_look", profile_id=dana, generation=3, steps="[]", ended_at=NOW)
    for kind in ("access", "disabled", "deleted", "renamed", "remailed"):
        old.insert("access_drift", profile_id=dana, kind=kind, theirs=f"their {kind}", steps="[]")
    run = old.insert("access_syncrun", scope="differing", total=1, actor="staff:ada", reason="asked")
    old.insert("access_syncresult", run_id=run, profile_id=dana, held_back=True, outcome="waiting", steps="[]")
    decided = {"reason": "the board", "decided_by": "staff:ada", "until": NOW}
    for state, rest in (("gathering", {}), ("asking", {}), ("confirmed", decided | {"done_at": NOW}), ("gone", {})):
        old.insert(
            "accounts_massloss", sweep="look_at_everybody", state=state, who=[dana], subscribers=30,
            asked_at=NOW, seen_at=NOW, **rest,
        )  # fmt: skip
    old.insert("accounts_usedlogouttoken", jti="used once")
    old.insert("storefront_onetimecode", purpose="signup", subject="s", session="t")
    old.insert("storefront_waitlistentry", email="wait@example.com", state="waiting")
    old.insert("core_beat", name="worker")
    for kind in ("look_at_everybody", "release_expired_holds", "write_address_to_keycloak", "send_realm_test_mail"):
        for state in ("queued", "blocked"):
            old.insert("core_job", kind=kind, key=state, lane=f"{kind}:{state}", state=state, history="[]")
    old.insert("core_schedule", kind="look_at_everybody")
    old.insert("django_q_ormq", key="frontdesk", payload="names apps.core.jobs.wake")
    tell(
        old,
        "profile",
        dana,
        "seat.held",
        "access_state",
        "override_keep_place",
        "override_hold_lifted",
        "password.mail_requested",
        "sync_requested",
    )
    tell(old, "massloss", 1, "loss_confirmed")
    return people


@pytest.mark.django_db  # for the settings of the test database's server
@pytest.mark.long
def test_everything_is_found_again(old: Database) -> None:
    people = fill(old)
    dana = people["active"]
    (permission,) = old.column("SELECT id FROM auth_permission WHERE codename = 'confirm_losses'")
    (catalog,) = old.column("SELECT id FROM auth_permission WHERE codename = 'change_catalogue'")
    (content_type,) = old.column("SELECT id FROM django_content_type WHERE app_label = 'access' AND model = 'drift'")
    tables = ("core_auditentry", "core_job", "instances_seat", "access_accessoverride")
    before = {table: old.column(f"SELECT count(*) FROM {table}") for table in tables}

    old.migrate()

    assert {table: old.column(f"SELECT count(*) FROM {table}") for table in tables} == before
    states = old.column("SELECT access_state FROM accounts_userprofile ORDER BY id")
    assert states == ["active", "on_hold", "canceled", "suspended"]
    assert old.column("SELECT state FROM instances_seat ORDER BY id") == ["reserved", "retained"]
    assert old.column("SELECT reserved + 10 * retained + 100 * assigned FROM instances_instance") == [11]
    assert old.column("SELECT reserved_until FROM instances_seat ORDER BY id") == [NOW, None]
    assert old.column("SELECT kind FROM access_accessoverride ORDER BY id") == ["hold", "keep_seat"]
    assert old.column("SELECT generation FROM access_lastsync") == [3]
    drift = dict(old.connection.execute("SELECT kind, keycloak_value FROM operations_drift").fetchall())
    assert drift == {
        "access": "their access", "disabled": "their disabled", "deleted": "their deleted", "username": "their renamed",
        "email": "their remailed",
    }  # fmt: skip
    assert old.column("SELECT awaiting_approval FROM operations_syncresult") == [True]
    assert old.column("SELECT scope FROM operations_syncrun") == ["differing"]
    reviews = old.connection.execute(
        "SELECT sweep, state, profile_ids, with_access, opened_at FROM operations_safeguardreview ORDER BY id"
    ).fetchall()
    assert reviews == [
        ("reconcile_all", state, [dana], 30, NOW) for state in ("collecting", "pending", "confirmed", "obsolete")
    ]
    assert old.column("SELECT jti FROM login_usedlogouttoken") == ["used once"]
    assert old.column("SELECT purpose FROM onboarding_onetimecode") == ["signup"]
    assert old.column("SELECT email FROM onboarding_waitlistentry") == ["wait@example.com"]
    assert old.column("SELECT name FROM core_heartbeat") == ["worker"]
    kinds = ["reconcile_all", "release_expired_reservations", "send_realm_test_email", "write_email_to_keycloak"]
    assert old.column("SELECT DISTINCT kind FROM core_job ORDER BY 1") == kinds
    assert old.column("SELECT kind FROM core_schedule") == ["reconcile_all"]
    assert old.column("SELECT id FROM auth_permission WHERE codename = 'approve_revocations'") == [permission]
    assert old.column("SELECT id FROM auth_permission WHERE codename = 'change_catalog'") == [catalog]
    moved = "SELECT id FROM django_content_type WHERE app_label = 'operations' AND model = 'drift'"
    assert old.column(moved) == [content_type]


@pytest.mark.django_db
@pytest.mark.long
def test_the_audit_trail_keeps_its_chain_and_shows_what_was_altered(old: Database) -> None:
    dana = fill(old)["active"]
    tell(old, "profile", dana + 1000, "seat.held", "seat.released")
    old.connection.execute("ALTER TABLE core_auditentry DISABLE TRIGGER core_auditentry_no_change")
    old.connection.execute(
        "UPDATE core_auditentry SET reason = 'altered' WHERE subject_id = %s AND action = 'seat.released'",
        [str(dana + 1000)],
    )
    old.connection.execute("ALTER TABLE core_auditentry ENABLE TRIGGER core_auditentry_no_change")

    old.migrate()

    names = ("at", "subject_kind", "subject_id", "action", "actor", "reason", "before", "after", "prev_hash", "hash")
    rows = old.connection.execute(f"SELECT {', '.join(names)} FROM core_auditentry ORDER BY id").fetchall()
    entries = [AuditEntry(**dict(zip(names, row, strict=True))) for row in rows]
    mine = [entry for entry in entries if (entry.subject_kind, entry.subject_id) == ("profile", str(dana))]
    assert [entry.action for entry in mine] == [
        "seat_reserved", "access_changed", "override_added", "override_ended", "password_email_requested",
        "sync_requested"
    ]  # fmt: skip
    assert (mine[2].after["kind"], mine[3].before["kind"]) == ("keep_seat", "hold")
    for entry, last in zip(mine, ["", *[entry.hash for entry in mine]], strict=False):
        assert entry.prev_hash == last
        assert entry.hash == digest(entry)
    (review,) = [entry for entry in entries if entry.subject_kind == "safeguardreview"]
    assert (review.action, review.hash) == ("revocation_approved", digest(review))
    intact = [entry.hash == digest(entry) for entry in entries if entry.subject_id == str(dana + 1000)]
    assert intact == [True, False]
