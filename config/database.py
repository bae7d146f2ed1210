"""The database's settings, from the environment."""

from typing import Any

from config.environment import choice, database_url, secret, text


def database() -> dict[str, Any]:
    """DATABASE_URL when it is set, else POSTGRES_*; POSTGRES_HOST may be a directory with a socket."""
    url = secret("DATABASE_URL", "")
    if url:
        found = database_url("DATABASE_URL", url)
    else:
        found = {
            "NAME": text("POSTGRES_DB"),
            "USER": text("POSTGRES_USER"),
            "PASSWORD": secret("POSTGRES_PASSWORD"),
            "HOST": text("POSTGRES_HOST"),
            "PORT": text("POSTGRES_PORT", "5432"),
            "OPTIONS": _tls(),
        }
    return found | {
        "ENGINE": "django_prometheus.db.backends.postgresql",
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"application_name": "frontdesk", "connect_timeout": 5} | found.get("OPTIONS", {}),
    }


def pooler() -> dict[str, Any]:
    """What leads web, and nothing else, through a pooler that may lend connections by transaction; empty: there is none."""
    host = text("POSTGRES_POOLER_HOST", "")
    if not host:
        return {}
    return {"HOST": host, "PORT": text("POSTGRES_POOLER_PORT", "6432"), "DISABLE_SERVER_SIDE_CURSORS": True}


def _tls() -> dict[str, str]:
    """What is not set is left to libpq and its own PG* variables."""
    modes = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
    given = {"sslmode": choice("POSTGRES_SSLMODE", "", modes), "sslrootcert": text("POSTGRES_SSLROOTCERT", "")}
    return {option: value for option, value in given.items() if value}
