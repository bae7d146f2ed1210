"""The rights of web and worker in the database.

`migrate` runs as the owner of the tables. Where POSTGRES_APP_USER names another role, it then grants to it what web and worker
need: rows, but no tables, and of the audit trail and of the list of migrations not the past.
"""

from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from psycopg import sql

LIMITED = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
GRANTS = """
REVOKE CREATE ON SCHEMA public FROM PUBLIC, {role};
GRANT USAGE ON SCHEMA public TO {role};
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role};
REVOKE UPDATE, DELETE ON core_auditentry FROM {role};
REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM {role}
"""
STATE = """
SELECT current_user, rolsuper OR rolcreaterole, EXISTS (SELECT FROM pg_roles WHERE rolname = %s)
FROM pg_roles WHERE rolname = current_user
"""
# Each right that web and worker do without, and whether the role of this connection has it.
EXCESS = """
SELECT rolsuper,
    rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls,
    EXISTS (SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace AND pg_has_role(relowner, 'MEMBER')),
    has_schema_privilege('public', 'CREATE'),
    has_table_privilege('core_auditentry', 'UPDATE, DELETE, TRUNCATE, TRIGGER'),
    EXISTS (SELECT FROM pg_roles AS one WHERE one.rolname ~ '^pg_(execute_server|read_server|write_server|write_all)'
        AND pg_has_role(one.oid, 'MEMBER'))
FROM pg_roles WHERE rolname = current_user
"""
NAMES = (
    "is a superuser", "may make roles or databases", "owns the tables", "may create tables", "may change the audit trail",
    "may reach the server's files",
)  # fmt: skip


def grant_after_migrate(**_: Any) -> None:
    """What follows `migrate`; nothing where the owner and the application are one role."""
    if settings.POSTGRES_APP_USER:
        grant(role=settings.POSTGRES_APP_USER, password=settings.POSTGRES_APP_PASSWORD)


def grant(*, role: str, password: str) -> None:
    """Make the role where it is missing, or limit it again, and give it what web and worker need."""
    with connection.cursor() as cursor:
        cursor.execute(STATE, [role])
        owner, makes_roles, exists = cursor.fetchone()
        if owner == role:
            raise ImproperlyConfigured(
                f"POSTGRES_APP_USER is {role}, who runs migrate. Run it as the owner of the tables."
            )
        if not exists and not (makes_roles and password):
            raise ImproperlyConfigured(
                f"POSTGRES_APP_USER is {role}, a role that is missing. Create it, or set POSTGRES_APP_PASSWORD and run"
                " migrate as a role that may."
            )
        name = sql.Identifier(role)
        if makes_roles and password:
            # Hashed here, so that the server's log never shows it.
            hashed = connection.connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
            command = "ALTER" if exists else "CREATE"
            cursor.execute(
                sql.SQL(f"{command} ROLE {{}} {LIMITED} PASSWORD {{}}").format(name, sql.Literal(hashed.decode()))
            )
        cursor.execute(sql.SQL(GRANTS).format(role=name))


def list_excess() -> list[str]:
    """What the role of this connection may do beyond what web and worker need."""
    with connection.cursor() as cursor:
        cursor.execute(EXCESS)
        return [name for name, has in zip(NAMES, cursor.fetchone(), strict=True) if has]
