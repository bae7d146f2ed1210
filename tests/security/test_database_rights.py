"""Web and worker as a role of their own: everything they do works, and nothing that only the owner of the tables needs."""

import os
from collections.abc import Iterator

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import ProgrammingError, connection, transaction

from apps.core import audit, audit_chains, checks, retention, rights
from apps.core.audit_actions import AuditAction
from apps.core.models import AuditEntry
from tests.world import World

ROLE = f"frontdesk_app_{os.getpid()}"  # roles are of the whole server
FORBIDDEN = (
    "UPDATE core_auditentry SET actor = 'nobody'",
    "DELETE FROM core_auditentry",
    "TRUNCATE core_auditentry",
    "ALTER TABLE core_auditentry DISABLE TRIGGER ALL",
    "DROP TRIGGER core_auditentry_no_change ON core_auditentry",
    "CREATE OR REPLACE FUNCTION core_auditentry_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE TRIGGER mine BEFORE INSERT ON core_auditentry FOR EACH ROW EXECUTE FUNCTION core_auditentry_refuse()",
    "CREATE RULE mine AS ON INSERT TO core_auditentry DO INSTEAD NOTHING",
    "ALTER TABLE core_auditentry ENABLE ROW LEVEL SECURITY",
    "SET session_replication_role = replica",
    "DELETE FROM django_migrations",
    "CREATE TABLE mine (id int)",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "ALTER TABLE core_job ADD COLUMN mine int",
    "DROP TABLE core_job",
    "TRUNCATE core_job CASCADE",
    "CREATE SCHEMA mine",
    "CREATE EXTENSION dblink",
    "CREATE ROLE mine SUPERUSER",
    "GRANT pg_execute_server_program TO CURRENT_USER",
    "COPY core_job TO PROGRAM 'cat'",
    "COPY core_job TO '/tmp/mine'",
    "CREATE TEMP TABLE lines (line text); COPY lines FROM '/etc/passwd'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT rolpassword FROM pg_authid",
)


@pytest.fixture
def as_app(db: None) -> Iterator[None]:
    """The test's connection as the role of web and worker."""
    rights.grant(role=ROLE, password="not-asked-for")
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {ROLE}")
        yield
        cursor.execute("RESET ROLE")


def test_a_customer_signs_up_pays_and_is_swept_with_the_rights_of_the_application(as_app: None, world: World) -> None:
    dana = world.subscriber("dana")
    assert world.state(dana).access == "active"
    world.pass_time(days=32)
    world.deliver()
    world.sweep()
    retention.prune_all()
    assert world.state(dana).access == "active"
    assert AuditEntry.objects.exists()
    assert audit_chains.check_chains().breaks == []
    assert checks.role_has_least_rights(databases=["default"]) == []


def test_what_only_the_owner_needs_is_refused(as_app: None) -> None:
    audit.record(subject=("signup", 1), action=AuditAction.SIGNED_UP)
    for statement in FORBIDDEN:
        with pytest.raises(ProgrammingError, match=r"permission denied|must be"), transaction.atomic():  # noqa: PT012
            with connection.cursor() as cursor:
                cursor.execute(statement)
            pytest.fail(f"allowed: {statement}")
    assert AuditEntry.objects.get().actor == "system"


def test_the_owners_role_and_each_right_too_many_are_named(db: None) -> None:
    (message,) = checks.role_has_least_rights(databases=["default"])
    assert (message.id, "superuser" in message.msg, "owns the tables" in message.msg) == ("frontdesk.W004", True, True)
    assert checks.role_has_least_rights(databases=None) == []  # Django's word for "ask no database"
    rights.grant(role=ROLE, password="not-asked-for")
    for given, said in (
        (f"ALTER ROLE {ROLE} CREATEROLE", "may make roles or databases"),
        (f"GRANT CREATE ON SCHEMA public TO {ROLE}", "may create tables"),
        (f"GRANT DELETE ON core_auditentry TO {ROLE}", "may change the audit trail"),
        (f"GRANT pg_read_server_files TO {ROLE}", "may reach the server's files"),
    ):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"{given}; SET ROLE {ROLE}")
            assert rights.list_excess() == [said]
            cursor.execute("RESET ROLE")
            rights.grant(role=ROLE, password="not-asked-for")  # as the next migrate does
            transaction.set_rollback(True)


def test_migrating_again_takes_back_what_somebody_gave(db: None) -> None:
    rights.grant(role=ROLE, password="not-asked-for")
    with connection.cursor() as cursor:
        cursor.execute(
            f"ALTER ROLE {ROLE} CREATEDB; GRANT ALL ON core_auditentry TO {ROLE}; GRANT CREATE ON SCHEMA public TO {ROLE}"
        )
        rights.grant(role=ROLE, password="another")
        cursor.execute(f"SET ROLE {ROLE}")
        assert rights.list_excess() == []
        cursor.execute("RESET ROLE")


def test_a_role_that_cannot_be_right_stops_migrate(db: None, settings) -> None:
    settings.POSTGRES_APP_USER = connection.settings_dict["USER"]
    with pytest.raises(ImproperlyConfigured, match="who runs migrate"):
        rights.grant_after_migrate()
    settings.POSTGRES_APP_USER = "nobody_made_it"
    with pytest.raises(ImproperlyConfigured, match="a role that is missing"):
        rights.grant_after_migrate()
    settings.POSTGRES_APP_USER = ""  # one role for all, as before
    rights.grant_after_migrate()


@pytest.mark.django_db(transaction=True)
def test_the_role_that_migrate_makes_can_log_in(settings) -> None:
    settings.POSTGRES_APP_USER, settings.POSTGRES_APP_PASSWORD = ROLE, "not-asked-for"
    rights.grant_after_migrate()
    server = connection.settings_dict
    try:
        with psycopg.connect(
            host=server["HOST"], port=server["PORT"], user=ROLE, password="not-asked-for", dbname=server["NAME"]
        ) as own:
            assert own.execute("SELECT count(*) FROM core_job").fetchone() == (0,)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                own.execute("DROP TABLE core_job")
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")
