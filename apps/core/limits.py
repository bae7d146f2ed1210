"""Rate limits as SQL rows: exact over processes, kept over restarts. `settings.LIMITS` has the numbers.

Promises: a request spends all its limits or none, so that what is refused for a minute costs nothing of the day; a limit has
no window that begins for everybody at once: what was spent comes back evenly (GCRA). Subjects (IP addresses, email addresses,
sessions) are stored as keyed hashes. Considered: django-ratelimit, whose counters live in the cache and are lost with it.
"""

import datetime as dt
import hashlib
import hmac
import math
import time
import unicodedata
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from prometheus_client import Counter

from apps.core import attention, clock, jobs, security_events
from apps.core.models import AttentionItem, RateLimit
from apps.core.networks import network_of
from apps.core.security_events import SecurityEvent

END_KIND, END_SECONDS = "end_limit_alarms", 600
QUIET = dt.timedelta(hours=1)  # without another refusal, the alarm ends
GOOGLE = {"gmail.com", "googlemail.com"}  # one provider, to whom dots in an address mean nothing
REFUSALS = Counter("frontdesk_limit_refusals", "Uses beyond a limit, refused or only told", ["limit"])
# What staff read when a limit of everybody is reached; none of them refuses anybody.
TOLD = {
    "signups_all": "Unusually many people are signing up. New ones now confirm their email address before anything else.",
    "wrong_codes_all": "Unusually many wrong codes are being tried. Somebody may be guessing.",
    "mails_all": "Unusually many codes and confirmations are being emailed. Somebody may be using our forms to send mail.",
}
SILENT = {"alarms", "payment_checks", "event_tokens"}  # how often we do something ourselves; nobody is refused
# In the order of their keys, so that two requests never wait for each other.
SPEND = """
INSERT INTO core_ratelimit AS spent (name, subject, per, busy_until)
SELECT name, subject, per, %(now)s + each
FROM unnest(%(names)s::text[], %(subjects)s::text[], %(pers)s::int[], %(each)s::float[]) AS use (name, subject, per, each)
ORDER BY name, subject, per
ON CONFLICT (name, subject, per) DO UPDATE
SET busy_until = greatest(spent.busy_until, %(now)s) + excluded.busy_until - %(now)s
WHERE greatest(spent.busy_until, %(now)s) + excluded.busy_until - %(now)s <= %(now)s + spent.per + 0.001
RETURNING name, per
"""


@dataclass(frozen=True)
class Use:
    """One use by one subject of `limit` uses in `per` seconds."""

    name: str
    subject: str
    limit: int
    per: int


@dataclass(frozen=True)
class LimitRoom:
    """What a subject has left of `limit` uses in `per` seconds; `wait`: seconds until one more is admitted, 0: now."""

    limit: int
    per: int
    left: int
    wait: int


def allow(**subjects: str) -> bool:
    """Whether each named limit admits one more use by its subject; only then is it counted, in all of them.

    A limit named `…_visitor` also counts the network around the visitor.
    """
    return _spend(_uses(subjects), count=True)


def would_allow(**subjects: str) -> bool:
    """The answer of `allow`, and nothing is counted."""
    return _spend(_uses(subjects), count=False)


def _uses(subjects: dict[str, str]) -> list[Use]:
    uses = []
    for name, subject in subjects.items():
        uses += [Use(name, subject, limit, per) for limit, per in settings.LIMITS[name]]
        if name.endswith("_visitor"):
            network, factor = network_of(subject), settings.LIMIT_NETWORK_FACTOR
            uses += [Use(f"{name}_network", network, limit * factor, per) for limit, per in settings.LIMITS[name]]
    return uses


def find_room(name: str, subject: str) -> LimitRoom:
    """Of the numbers of one limit, and of its network's for a visitor, the one that is reached first. One query."""
    uses = _uses({name: subject})
    hashes = {use.name: subject_hash(use.subject) for use in uses}
    rows = RateLimit.objects.filter(name__in=hashes, subject__in=hashes.values())
    busy = {(kind, per): until for kind, per, until in rows.values_list("name", "per", "busy_until")}
    now, found = time.time(), list[LimitRoom]()
    for use in uses:
        taken, each = max(0.0, busy.get((use.name, use.per), 0.0) - now), use.per / use.limit
        wait = math.ceil(max(0.0, taken + each - use.per - 0.001))
        found.append(LimitRoom(use.limit, use.per, int((use.per - taken + 0.001) / each), wait))
    return max(found, key=lambda one: (one.wait, -one.left))


def allow_together(name: str) -> bool:
    """`allow` for a limit of everybody; beyond it staff are told, and the caller decides what is dearer now."""
    if allow(**{name: "everybody"}):
        return True
    if allow(alarms=name):
        attention.report(attention.Cause.LIMIT_REACHED, name, TOLD[name])
    return False


def _spend(uses: list[Use], *, count: bool) -> bool:
    """Count all uses, or none when one is refused; returns whether none was."""
    columns: dict[str, Any] = {
        "names": [use.name for use in uses],
        "subjects": [subject_hash(use.subject) for use in uses],
        "pers": [use.per for use in uses],
        "each": [use.per / use.limit for use in uses],
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(SPEND, columns | {"now": time.time()})
        admitted = set(cursor.fetchall())
        refused = {use.name for use in uses if (use.name, use.per) not in admitted}
        if refused or not count:
            transaction.set_rollback(True)
    for name in refused:
        REFUSALS.labels(limit=name).inc()
    if told := sorted(refused - TOLD.keys() - SILENT):
        security_events.note(SecurityEvent.LIMIT_REACHED, limit=told[0])
    return not refused


def subject_hash(subject: str, *, key: str = "") -> str:
    """A keyed hash of a subject; the same for spellings that mean the same. Under another key all limits start again."""
    folded = unicodedata.normalize("NFKC", subject).casefold().strip()
    return hmac.new(
        (key or settings.SECRET_KEY).encode(), folded.encode("utf-8", "replace"), hashlib.sha256
    ).hexdigest()


def mailbox(address: str) -> str:
    """The mailbox behind an email address, for limits only: case, width and `+tag` folded, and dots where they mean nothing."""
    local, _, domain = unicodedata.normalize("NFKC", address).casefold().strip().rpartition("@")
    local = local.split("+")[0]
    return f"{local.replace('.', '')}@gmail.com" if domain in GOOGLE else f"{local}@{domain}"


def register() -> None:
    """Register the job that ends alarms."""
    jobs.register(END_KIND, end_alarms, label="End alarms of limits", every=END_SECONDS)


def end_alarms(_key: str = "") -> None:
    """The job: end the alarms of limits that nobody has reached for an hour."""
    over = AttentionItem.objects.filter(
        cause=attention.Cause.LIMIT_REACHED, resolved_at=None, last_at__lt=clock.now() - QUIET
    )
    attention.resolve(attention.Cause.LIMIT_REACHED, *over.values_list("key", flat=True))


def prune(*, before: dt.datetime) -> int:
    """Delete what was spent and has come back before this; returns how many rows went."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM core_ratelimit WHERE busy_until < %s", [before.timestamp()])
        return int(cursor.rowcount)
