"""The doctor for all but the realm, which has its own (`identity.doctor`): Stripe, Mailgun and Frontdesk itself.

Each night a job runs both; an error it finds is an attention item until its check passes.
"""

import contextvars
from collections.abc import Collection, Iterator

from django.conf import settings
from django.db import connection
from django.utils import timezone

from apps.billing.doctor import check_stripe
from apps.catalog.models import Product
from apps.core import attention, backups, heartbeats, jobs, legal, pooling, restore_marker, rights
from apps.core.certificate import check_certificate
from apps.core.checks import list_published_secrets, redirects_to_itself
from apps.core.findings import Finding, Severity, judge
from apps.core.models import Job
from apps.core.networks import is_near
from apps.identity.doctor.checks import examine
from apps.identity.doctor.expected import Catalog, from_settings
from apps.identity.doctor.published_secrets import check_published_secrets
from apps.instances.capacity import find_miscounted
from apps.notifications.doctor import check_mailgun

SKEW_SECONDS = 5
KIND = "run_doctor"
DAY = 86_400
PROBE_ADDRESS = "203.0.113.7"  # of no machine (RFC 5737); a balancer asks by an address too


# Where the findings of `examine_systems` begin; all others are about the realm.
SYSTEMS = ("stripe.", "mailgun.", "site.", "database.", "workers.", "seats.", "realm.published_")
OFTEN_SKIPPED = {
    "server.version",
    "mail.test",
}  # Keycloak shows its version to none of our accounts; nobody has sent a test email


def register() -> None:
    """Make the nightly job known."""
    jobs.register(KIND, report_errors, label="Run the doctor", every=DAY, importance=Job.Importance.SWEEP)


def report_errors(_key: str = "") -> None:
    """The job: an attention item for each error, which ends when its check passes or is no longer made.

    Raises DependencyDown or RetryLater when Keycloak does not answer; what is wrong elsewhere is told even so.
    """
    _report([one for one in examine_systems() if one.id != "workers.alive"], of_realm=False)  # one is: it runs this
    _report(examine(current_catalog()).findings, of_realm=True)


def _report(found: Collection[Finding], *, of_realm: bool) -> None:
    """Open and end the items of these findings; one stays while its check, or one that it depends on, cannot be made."""
    errors = {one.id: f"{one.message} {one.why} {one.fix}" for one in found if one.severity == Severity.ERROR}
    for key, sentence in errors.items():
        attention.report(attention.Cause.DOCTOR, key, sentence)
    skipped = {one.id for one in found if one.severity == Severity.SKIPPED}
    unclear = {_system(key) for key in skipped - OFTEN_SKIPPED}
    passed = {one.id for one in found} - skipped
    items = attention.open_items().filter(cause=attention.Cause.DOCTOR).values_list("key", flat=True)
    mine = {key for key in items if (_system(key) == "") == of_realm} - errors.keys()
    ended = [key for key in mine if key in passed or _system(key) not in unclear]
    attention.resolve(attention.Cause.DOCTOR, *ended, why="The doctor no longer finds it.")


def _system(key: str) -> str:
    """What a finding is about; empty for the realm."""
    return next((start for start in SYSTEMS if key.startswith(start)), "")


def examine_systems() -> tuple[Finding, ...]:
    """All findings but those of the realm, the worst first. Never raises because another system is away."""
    found = [*check_frontdesk(), *check_mailgun(), *_check_published_secrets(), *check_stripe()]
    return tuple(sorted(found, key=lambda finding: list(Severity).index(finding.severity)))


def _check_published_secrets() -> Iterator[Finding]:
    return check_published_secrets(from_settings(current_catalog()), warn=not settings.HTTPS)


def current_catalog() -> Catalog:
    """The apps and numeric grants of the products on sale, in one query."""
    rows = list(Product.objects.filter(is_active=True).only("slug", "is_app", "needs_instance", "grants"))
    return Catalog(
        apps=frozenset(row.slug for row in rows if row.is_app),
        seats=frozenset(row.slug for row in rows if row.needs_instance),
        grants=frozenset(str(name) for row in rows for name in row.grants),
    )


def check_frontdesk() -> Iterator[Finding]:
    """What a setting or a process of Frontdesk gets wrong."""
    yield judge(
        not (settings.HTTPS and redirects_to_itself()), "site.proxy", "The proxy count fits BASE_URL.", "BASE_URL is https, and no proxy is trusted to say so.",
        why="Each request is redirected to itself for ever.", fix="Set TRUSTED_PROXY_COUNT to the number of proxies in front.",
    )  # fmt: skip
    yield from check_law()
    published = list_published_secrets()
    yield judge(
        not published, "site.secrets", "No secret is one that is published.", f"Published in our repository: {', '.join(published)}.",
        why="Anyone who reads it can act as us in Keycloak, or as Stripe here.",
        fix="Make new ones where they come from: in Keycloak, at Stripe, or at random.",
        warn=not settings.HTTPS,
    )  # fmt: skip
    yield judge(
        contextvars.copy_context().run(_answers_probe), "site.health", "Health checks by IP address are answered.",
        "A health check by IP address is refused.", why="Load balancers and containers would think every web server is down.",
        fix="Put apps.core.probes.answer_probes first in MIDDLEWARE.",
    )  # fmt: skip
    if settings.HTTPS:
        yield check_certificate()
    yield from _check_database()
    yield judge(
        restore_marker.is_written(), "site.restores", "A restored database would be noticed.", "A restored database would not be noticed.", warn=True,
        why="After a backup is put back, people who signed up since pay and are unknown here, and others get or lose access wrongly.",
        fix="Set RESTORE_MARKER_FILE to a file on a disk that no backup of the database brings back, and start the worker.",
    )  # fmt: skip
    yield judge(
        not (settings.HTTPS and backups.is_missing()), "site.backups", "Backups are made.", "No backup was ever recorded.", warn=True,
        why="Who subscribes to what, seats and the audit trail are nowhere else.",
        fix=backups.REMEDY,
    )  # fmt: skip
    wrong = find_miscounted()
    yield judge(
        not wrong, "seats.counted", "The seat counters of all instances are right.", f"Seat counters are wrong on: {', '.join(wrong)}.",
        why="People are refused a seat that is free, or get one that is not.", fix="Report it with the timeline of the instance.",
    )  # fmt: skip
    yield from _check_workers()


def _check_workers() -> Iterator[Finding]:
    """Whether somebody works, and each host can be told from the others."""
    alive, silent = heartbeats.count_alive(), heartbeats.list_silent()
    yield judge(
        bool(alive), "workers.alive", f"{alive} {'worker is' if alive == 1 else 'workers are'} alive.", "No worker is alive.",
        why="Payments are taken, but no account is opened or closed.", fix="Start `manage.py worker`.",
    )  # fmt: skip
    yield judge(
        not silent, "workers.silent", "No worker is silent.", f"Silent: {', '.join(sorted(silent))}.", warn=True,
        why="Its jobs run elsewhere, slower.", fix="Restart it; a worker that is gone for good is forgotten after a day.",
    )  # fmt: skip
    twice = heartbeats.list_namesakes()
    yield judge(
        not twice, "workers.names", "Each host with workers has a name of its own.", f"Two hosts are called {', '.join(twice)}.", warn=True,
        why="Pages, metrics and alerts cannot tell them apart.", fix="Give each a host name of its own (in compose: hostname).",
    )  # fmt: skip


def check_law() -> Iterator[Finding]:
    """The texts that a site which sells has to show."""
    missing = legal.list_missing()
    yield judge(
        not missing, "site.law", "Terms, privacy notice and imprint are there.", f"There is no {legal.name_missing(missing)}.",
        why="A site that sells has to show them, and with a live Stripe key the web server does not start without them.",
        fix=f"Set {', '.join(missing)}, or put {', '.join(legal.files_of(missing))} into LEGAL_FOLDER.", warn=not settings.STRIPE_LIVE_MODE,
    )  # fmt: skip
    notice = not settings.WITHDRAWAL_DAYS or bool(settings.BRAND["withdrawal_url"])
    yield judge(
        notice, "site.withdrawal", "Customers are told of their right of withdrawal, or have none.",
        "Customers may withdraw, but no text tells them how.", warn=True,
        why="Without it, consumers in the European Union may withdraw for a year longer.",
        fix="Set WITHDRAWAL_URL, or put withdrawal.md into LEGAL_FOLDER; WITHDRAWAL_DAYS=0 if your customers are no consumers.",
    )  # fmt: skip


def _answers_probe() -> bool:
    """Whether a request for our health that names an address is answered; in a context of its own, as it binds a request id."""
    from django.test import Client  # it loads much that no other process needs

    return Client(headers={"host": PROBE_ADDRESS}).get("/health/live/").status_code == 200


def _check_database() -> Iterator[Finding]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false), to_regclass('cache') IS NOT NULL,"
            " clock_timestamp()"
        )
        encrypted, cached, database_now = cursor.fetchone()
    host = str(connection.settings_dict["HOST"])
    yield judge(
        encrypted or is_near(host), "database.tls", "The connection to the database is private.", "The connection to the database is plain text.",
        why="Anybody on the network between them can read all customer data.", fix="Set POSTGRES_SSLMODE=verify-full.",
    )  # fmt: skip
    if settings.HTTPS:  # a rehearsal has one role
        excess = rights.list_excess()
        yield judge(
            not excess, "database.rights", "Our role has the rights it needs.", f"Our role {', '.join(excess)}.", warn=True,
            why="A hole in our SQL would reach the server, the tables and the audit trail's past.", fix="Set POSTGRES_APP_USER.",
        )  # fmt: skip
    yield judge(
        cached, "database.cache", "The cache table is there.", "The cache table is missing.",
        why="Searching the console fails.", fix="manage.py migrate",
    )  # fmt: skip
    yield judge(
        not pooling.are_sessions_lent(), "database.sessions", "Our sessions with the database are ours alone, or web knows of its pooler.",
        "A pooler lends our sessions by transaction.", why="Two of us may believe that they hold the same lock.", fix=pooling.REMEDY,
    )  # fmt: skip
    skew = abs((timezone.now() - database_now).total_seconds())  # noqa: TID251  (the machine's clock is what is checked)
    yield judge(
        skew <= SKEW_SECONDS, "site.clock", "Our clock agrees with the database's.", f"Our clock is {skew:.0f} s off the database's.",
        why="Signatures of Stripe and logins are refused.", fix="Run an NTP service on both machines.",
    )  # fmt: skip
