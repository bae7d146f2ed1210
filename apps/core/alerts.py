"""Alerts: what needs staff is told outside the console, through apprise: mail, Slack, Matrix, webhooks and many more.

Promises: at most one message per cause and hour; what has not changed is repeated once a day; nothing during the quiet hours,
after which what is still open is told; nothing that has lasted less than `ALERT_AFTER_MINUTES`; no addresses of people.
"""

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import structlog
from django.conf import settings

from apps.core import attention, clock, dependencies, egress, heartbeats, hosts, jobs
from apps.core.errors import NeedsOperator
from apps.core.io_guard import refuse_inside_transaction
from apps.core.models import AlertSent, Dependency, Job

log = structlog.get_logger(__name__)

KIND, TEST = "send_alerts", "send_test_alert"  # job kinds; the key of a test is who asked for it
EVERY_SECONDS = 60
AGAIN, UNCHANGED_AGAIN = dt.timedelta(hours=1), dt.timedelta(days=1)
SHOWN = 5  # sentences of one message


@dataclass(frozen=True)
class Alert:
    """One cause: what it is, its sentences, since when, and what would make it news again."""

    key: str
    title: str
    lines: tuple[str, ...]
    since: dt.datetime
    state: str

    @property
    def body(self) -> str:
        more = [f"… and {len(self.lines) - SHOWN} more."] if len(self.lines) > SHOWN else []
        return "\n".join([*(f"- {line}" for line in self.lines[:SHOWN]), *more, "", f"{settings.BASE_URL}/admin/"])

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.state.encode()).hexdigest()


Source = Callable[[], Iterable[Alert]]


def register() -> None:
    """Make the periodic job known; without addresses there is nothing to do."""
    jobs.register(KIND, send_alerts, label="Send alerts", every=EVERY_SECONDS)
    jobs.register(TEST, lambda who: send_test(actor=who), label="Send test alert")


def send_alerts(_key: str = "") -> None:
    """The job: tell every cause that is due. NeedsOperator when an address does not take it."""
    if not settings.ALERT_URLS or is_quiet(clock.now()):
        return
    now = clock.now()
    found = {alert.key: alert for source in SOURCES for alert in source()}
    AlertSent.objects.exclude(key__in=found).filter(sent_at__lt=now - AGAIN).delete()
    sent = {row.key: row for row in AlertSent.objects.all()}
    threshold = dt.timedelta(minutes=settings.ALERT_AFTER_MINUTES)
    due = [one for one in found.values() if one.since <= now - threshold and _is_due(one, sent.get(one.key), now)]
    failed: set[str] = set()
    for alert in due:
        missed = deliver(alert.title, alert.body)
        if len(missed) < len(settings.ALERT_URLS):  # who has read it is not told again because another has not
            AlertSent.objects.update_or_create(key=alert.key, defaults={"sent_at": now, "digest": alert.digest})
        failed.update(missed)
    if due:
        _refuse_failed(failed)


def _is_due(alert: Alert, sent: AlertSent | None, now: dt.datetime) -> bool:
    if sent is None:
        return True
    return sent.sent_at <= now - (UNCHANGED_AGAIN if sent.digest == alert.digest else AGAIN)


def is_quiet(now: dt.datetime) -> bool:
    """Whether `now`, in UTC, is within the quiet hours; they may go over midnight."""
    begin, end = settings.ALERT_QUIET_HOURS
    return begin <= now.hour < end if begin <= end else not end <= now.hour < begin


def deliver(title: str, body: str) -> list[str]:
    """Send one message to every address; returns those that did not take it, without their secrets: `2 (slack)`."""
    refuse_inside_transaction()
    import apprise  # takes a second, which no other process should spend

    failed = []
    for number, url in enumerate(settings.ALERT_URLS, start=1):
        channel = apprise.Apprise(asset=apprise.AppriseAsset(http_redirects=False))
        with egress.lifted():
            told = channel.add(url) and channel.notify(title=f"{settings.BRAND['name']}: {title}", body=body)
        if not told:
            failed.append(f"{number} ({url.partition(':')[0]})")
    log.info("alert_sent", title=title, failed=len(failed))
    return failed


def _refuse_failed(failed: Collection[str]) -> None:
    """NeedsOperator, with an attention item, when an address did not take a message; else the item ends."""
    if not failed:
        attention.resolve(attention.Cause.ALERT_FAILED, "delivery")
        return
    told = f"An alert did not get through to ALERT_URLS {', '.join(sorted(failed))}. Check the address and its key."
    attention.report(attention.Cause.ALERT_FAILED, "delivery", told)
    raise NeedsOperator(told)


def send_test(*, actor: str) -> None:
    """Send a test message now, whatever the hour. NeedsOperator when there is no address, or one does not take it."""
    if not settings.ALERT_URLS:
        raise NeedsOperator("ALERT_URLS is empty: no alert leaves Frontdesk.")
    _refuse_failed(deliver("Test alert", f"{actor} asked for it. Alerts get through.\n\n{settings.BASE_URL}/admin/"))


# --- what is told -----------------------------------------------------------------------------------------------------


def _attention() -> Iterable[Alert]:
    """One alert for each cause, however many items it has."""
    causes = defaultdict(list)
    for item in attention.needing_staff().exclude(cause=attention.Cause.ALERT_FAILED):
        causes[item.cause].append(item)
    for cause, items in causes.items():
        lines, ids = tuple(item.sentence for item in items), sorted(item.pk for item in items)
        title = attention.cause_label(cause)
        yield Alert(f"attention:{cause}", title, lines, min(item.first_at for item in items), str(ids))


def _stuck_jobs() -> Iterable[Alert]:
    """One alert for each kind that failed or needs staff."""
    kinds = defaultdict(list)
    stuck = Job.objects.filter(state__in=Job.GIVEN_UP).exclude(kind__in=[KIND, TEST])
    for job in stuck.order_by("-pk")[:500]:
        kinds[job.kind].append(job)
    for kind, rows in kinds.items():
        lines, ids = tuple(row.last_error for row in rows), sorted(row.pk for row in rows)
        title = f"{jobs.kind_label(kind)}: {len(rows)} {'job needs' if len(rows) == 1 else 'jobs need'} attention"
        yield Alert(f"jobs:{kind}", title, lines, min(row.finished_at or row.created_at for row in rows), str(ids))


def _systems_down() -> Iterable[Alert]:
    for down in Dependency.objects.all():
        since = f"Since {down.down_since:%Y-%m-%d %H:%M} UTC: {down.reason}"
        title = "Access is paused" if down.name == dependencies.RESTORED else f"{down.name.capitalize()} is down"
        yield Alert(f"down:{down.name}", title, (since,), down.down_since, "down")


def _silent_workers() -> Iterable[Alert]:
    gone = {host.name for host in hosts.list_gone()}  # which are attention items
    for worker, seconds in heartbeats.list_silent().items():
        if heartbeats.host_of(worker) in gone:
            continue
        since = clock.now() - dt.timedelta(seconds=seconds)
        line = f"No sign of life for {round(seconds / 60)} minutes."
        yield Alert(f"worker:{worker}", f"Worker {worker} is silent", (line,), since, "silent")


SOURCES: list[Source] = [_attention, _stuck_jobs, _systems_down, _silent_workers]
