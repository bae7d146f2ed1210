"""What `manage.py setup` asks, and what it makes up itself. Nothing here needs Django's settings, which do not exist yet."""

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{2,}")
HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+", re.IGNORECASE)


@dataclass(frozen=True)
class SetupQuestion:
    """One variable. `check` gives the sentence that says what is wrong with an answer; `kept`: whether it goes into `.env`."""

    name: str
    asks: str
    check: Callable[[str], str] = lambda _answer: ""
    default: str = ""
    is_secret: bool = False
    may_be_empty: bool = False
    kept: bool = True


def _url(answer: str) -> str:
    parts = urlsplit(answer)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return "It has to be an address such as https://kunden.example.com."
    near = parts.hostname in {"localhost", "127.0.0.1"}
    return "" if parts.scheme == "https" or near else "It has to begin with https:// unless it is of this machine."


def _site(answer: str) -> str:
    return _url(answer) or ("It has no path." if urlsplit(answer).path.strip("/") else "")


def _matches(pattern: re.Pattern[str], sentence: str) -> Callable[[str], str]:
    return lambda answer: "" if pattern.fullmatch(answer) else sentence


def _key(*beginnings: str) -> Callable[[str], str]:
    pattern = re.compile(rf"({'|'.join(beginnings)})_(test|live)_\w{{10,}}")
    return _matches(
        pattern, f"A key of Stripe's begins with {' or '.join(f'{one}_test_ or {one}_live_' for one in beginnings)}."
    )


ASKED = (
    SetupQuestion("BASE_URL", "The address of the site, as customers will write it", _site),
    SetupQuestion("BRAND_NAME", "Your name, on pages and in emails", default="Frontdesk"),
    SetupQuestion(
        "SUPPORT_EMAIL", "The support address shown to people", _matches(ADDRESS, "This is no email address.")
    ),
    SetupQuestion("KEYCLOAK_SERVER_URL", "Keycloak's address", _url),
    SetupQuestion("KEYCLOAK_REALM", "The realm of customers and staff", default="frontdesk"),
    SetupQuestion("STRIPE_SECRET_KEY", "Stripe's restricted key", _key("rk", "sk"), is_secret=True),
    SetupQuestion("STRIPE_PUBLISHABLE_KEY", "Stripe's publishable key", _key("pk")),
    SetupQuestion("MAILGUN_API_KEY", "Mailgun's key", is_secret=True),
    SetupQuestion("MAILGUN_DOMAIN", "Mailgun's sending domain", _matches(HOST, "This is no domain.")),
    SetupQuestion(
        "MAILGUN_API_URL",
        "Mailgun's API; https://api.eu.mailgun.net/v3 in the EU",
        _url,
        default="https://api.mailgun.net/v3",
    ),
    SetupQuestion(
        "MAILGUN_WEBHOOK_SIGNING_KEY",
        "Mailgun's HTTP webhook signing key; empty: later",
        is_secret=True,
        may_be_empty=True,
    ),
)
# For Keycloak alone: an administrator of the whole server, used once and kept nowhere. Without one its steps are printed.
KEYCLOAK = (
    SetupQuestion(
        "SETUP_KEYCLOAK_USER",
        "An administrator of the whole Keycloak; empty: I'll do it by hand",
        may_be_empty=True,
        kept=False,
    ),
    SetupQuestion("SETUP_KEYCLOAK_PASSWORD", "Their password", is_secret=True, kept=False),
    SetupQuestion(
        "SETUP_STAFF_USER",
        "The username of the first member of staff",
        _matches(NAME, "At least three of a-z, 0-9, dots and dashes."),
        kept=False,
    ),
    SetupQuestion(
        "SETUP_STAFF_EMAIL", "Their email address", _matches(ADDRESS, "This is no email address."), kept=False
    ),
    SetupQuestion("SMTP_HOST", "The SMTP server for Keycloak's own emails", kept=False),
    SetupQuestion("SMTP_PORT", "Its port", default="587", kept=False),
    SetupQuestion("SMTP_FROM", "Their sender", _matches(ADDRESS, "This is no email address."), kept=False),
    SetupQuestion("SMTP_USER", "The user there", may_be_empty=True, kept=False),
    SetupQuestion("SMTP_PASSWORD", "The password there", is_secret=True, may_be_empty=True, kept=False),
)
MADE_UP = (
    "DJANGO_SECRET_KEY", "POSTGRES_PASSWORD", "POSTGRES_APP_PASSWORD", "OIDC_RP_CLIENT_SECRET", "KEYCLOAK_ADMIN_CLIENT_SECRET",
    "KEYCLOAK_DOCTOR_CLIENT_SECRET", "KEYCLOAK_DB_PASSWORD", "PROMETHEUS_METRICS_API_KEY", "GRAFANA_ADMIN_PASSWORD",
)  # fmt: skip
FIXED = {
    "POSTGRES_DB": "frontdesk", "POSTGRES_USER": "frontdesk", "POSTGRES_HOST": "postgres", "OIDC_RP_CLIENT_ID": "frontdesk-web",
    "KEYCLOAK_ADMIN_CLIENT_ID": "frontdesk-sync", "KEYCLOAK_DOCTOR_CLIENT_ID": "frontdesk-doctor", "TRUSTED_PROXY_COUNT": "1",
}  # fmt: skip


def make_up(known: Mapping[str, str]) -> dict[str, str]:
    """A random value for each secret that there is not, and the usual names where none is chosen."""
    made = {name: secrets.token_urlsafe(48) for name in MADE_UP if not known.get(name)}
    return made | {name: value for name, value in FIXED.items() if not known.get(name)}


def find_contradiction(values: Mapping[str, str]) -> str:
    """What two answers say against each other; empty: nothing."""
    modes = {values[name].split("_")[1] for name in ("STRIPE_SECRET_KEY", "STRIPE_PUBLISHABLE_KEY")}
    if len(modes) > 1:
        return "One of Stripe's keys is a test key and the other a live one."
    if modes == {"live"} and values.get("STRIPE_ALLOW_LIVE", "").lower() != "true":
        return "These are live keys: add STRIPE_ALLOW_LIVE=true to the answers or to .env, or begin with test keys."
    return ""
