"""The doctor for the whole house: Stripe, Mailgun and ourselves. The realm has its own, `identity.doctor`."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.db import connection
from django.utils import timezone

from apps.billing.doctor import check_stripe
from apps.core import heartbeats
from apps.core.checks import PUBLISHED
from apps.core.findings import Finding, Severity, judge

SKEW_SECONDS = 5
SECRETS = ("OIDC_RP_CLIENT_SECRET", "KEYCLOAK_ADMIN_CLIENT_SECRET", "KEYCLOAK_DOCTOR_CLIENT_SECRET")


def examine_systems() -> tuple[Finding, ...]:
    """All findings but those of the realm, the worst first. Never raises because another system is away."""
    found = [*check_ourselves(), *check_mailgun(), *check_stripe()]
    return tuple(sorted(found, key=lambda finding: list(Severity).index(finding.severity)))


def check_ourselves() -> Iterator[Finding]:
    """What a setting or a process of ours gets wrong."""
    loop = settings.HTTPS and settings.SECURE_SSL_REDIRECT and not settings.TRUSTED_PROXY_COUNT
    yield judge(
        not loop, "site.proxy", "The proxy count fits BASE_URL.", "BASE_URL is https, and no proxy is trusted to say so.",
        why="Each request is redirected to itself for ever.", fix="Set TRUSTED_PROXY_COUNT to the number of proxies in front.",
    )  # fmt: skip
    published = [name for name in SECRETS if str(getattr(settings, name)).startswith((PUBLISHED, "${"))]
    yield judge(
        not published, "site.secrets", "No secret is one that is published.", f"Published in a realm file: {', '.join(published)}.",
        why="Anyone who reads our repository can act as us in Keycloak.", fix="Regenerate these clients' secrets in Keycloak.",
        warn=not settings.HTTPS,
    )  # fmt: skip
    yield from _check_database()
    alive, silent = heartbeats.count_alive(), heartbeats.list_silent()
    yield judge(
        bool(alive), "workers.alive", f"{alive} workers are alive.", "No worker is alive.",
        why="Nothing that customers pay for happens.", fix="Start `manage.py worker`.",
    )  # fmt: skip
    yield judge(
        not silent, "workers.silent", "No worker is silent.", f"Silent: {', '.join(sorted(silent))}.", warn=True,
        why="Its jobs run elsewhere, slower.", fix="Restart it; a worker that is gone for good is forgotten after a day.",
    )  # fmt: skip


def _check_database() -> Iterator[Finding]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false), to_regclass('cache') IS NOT NULL,"
            " clock_timestamp()"
        )
        encrypted, cached, database_now = cursor.fetchone()
    host = str(connection.settings_dict["HOST"])
    near = not host or host.startswith("/") or host in {"127.0.0.1", "::1"} or "." not in host
    yield judge(
        encrypted or near, "database.tls", "The way to the database is private.", "The connection to the database is plain text.",
        why="Everything about customers can be read on the way.", fix="Use DATABASE_URL with ?sslmode=verify-full.",
    )  # fmt: skip
    yield judge(
        cached, "database.cache", "The cache table is there.", "The cache table is missing.",
        why="The console's search fails.", fix="manage.py migrate",
    )  # fmt: skip
    skew = abs((timezone.now() - database_now).total_seconds())  # noqa: TID251  (the machine's clock is what is checked)
    yield judge(
        skew <= SKEW_SECONDS, "site.clock", "Our clock agrees with the database's.", f"Our clock is {skew:.0f} s off the database's.",
        why="Signatures of Stripe and logins are refused.", fix="Run an NTP service on both machines.",
    )  # fmt: skip


def check_mailgun() -> Iterator[Finding]:
    """The sending domain, in the region we ask."""
    api, domain = str(settings.ANYMAIL["MAILGUN_API_URL"]), settings.MAILGUN_DOMAIN
    key = "mailgun.domain"
    try:
        answer = requests.get(f"{api}/domains/{domain}", auth=("api", settings.MAILGUN_API_KEY), timeout=(3, 10))
        state = str(answer.json().get("domain", {}).get("state", "")) if answer.status_code == 200 else ""
    except (requests.RequestException, ValueError, AttributeError):
        yield Finding(
            id=key, severity=Severity.SKIPPED, message="Mailgun could not be asked.", fix="Try again in a moment."
        )
        return
    if answer.status_code in {401, 403}:
        fix = "A key that may only send cannot read domains; otherwise check MAILGUN_API_KEY."
        yield Finding(id=key, severity=Severity.SKIPPED, message="Mailgun does not let our key look.", fix=fix)
        return
    other = "api.eu.mailgun.net" if "eu" not in (urlsplit(api).hostname or "") else "api.mailgun.net"
    yield judge(
        state == "active", key, f"{domain} is active at Mailgun.",
        f"{domain} is {state} at Mailgun." if state else f"Mailgun does not know {domain} in this region.",
        why="No mail of ours arrives.", fix=f"Verify the domain at Mailgun, or ask the other region: MAILGUN_API_URL=https://{other}/v3.",
    )  # fmt: skip
