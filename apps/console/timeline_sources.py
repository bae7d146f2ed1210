"""One subscriber's timeline: what happened, from every table that says so, by one statement in the order of its moments.

Promises: nothing is copied, each table stays the one source of its rows; a page is one statement however long the timeline is,
and begins where the last one ended, so that a deep page costs what the first does.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

from django.db.models import CharField, F, Model, Q, QuerySet, Subquery, TextField, Value
from django.db.models.functions import Cast, Coalesce, JSONObject, Lower, LPad

from apps.accounts.models import Signup, UserProfile
from apps.billing import mirror
from apps.billing.models import InboundEvent
from apps.console.job_people import SUBSCRIBER_KINDS
from apps.core import audit
from apps.core.audit_actions import AuditAction
from apps.core.masking import mask_row, narrow_lookup
from apps.core.models import AuditEntry, Job
from apps.notifications.mail import of_person
from apps.notifications.models import Notification
from apps.onboarding.models import WaitlistEntry

SIZE = 50
LONGEST_TERM = 100
DIGITS = 20  # of a number as text, so that texts are in the order of their numbers
STEPS = (
    AuditAction.ACCOUNT_CREATED, AuditAction.ACCOUNT_ENABLED, AuditAction.ACCOUNT_DISABLED, AuditAction.ATTRIBUTES_WRITTEN,
    AuditAction.GROUP_JOINED, AuditAction.GROUP_LEFT, AuditAction.SESSIONS_ENDED, AuditAction.SEAT_RESERVED,
    AuditAction.SEAT_ASSIGNED, AuditAction.SEAT_RETAINED, AuditAction.SEAT_RELEASED, AuditAction.SEAT_MOVED, AuditAction.SEAT_WAITING,
)  # fmt: skip
PAYMENTS = (
    AuditAction.DISPUTE_OPENED, AuditAction.DISPUTE_LOST, AuditAction.DISPUTE_CLOSED, AuditAction.COLLECTION_PAUSED,
    AuditAction.COLLECTION_RESUMED, AuditAction.CUSTOMER_REPLACED, AuditAction.CONTRACT_CANCELED, AuditAction.CONTRACT_WITHDRAWN,
)  # fmt: skip
SIGNUPS = (
    AuditAction.SIGNED_UP, AuditAction.CHECKOUT_PAID, AuditAction.SIGNUP_EXPIRED, AuditAction.SIGNUP_FAILED,
    AuditAction.RECOVERY_CODE_REQUESTED, AuditAction.RECOVERY_CODE_VERIFIED, AuditAction.RECOVERY_OPENED,
    AuditAction.RECOVERY_CLOSED, AuditAction.WAITLIST_CONFIRMED, AuditAction.WAITLIST_INVITED, AuditAction.WAITLIST_LEFT,
    AuditAction.WAITLIST_WITHDRAWN, AuditAction.WAITLIST_SIGNED_UP,
)  # fmt: skip
MAILS = (AuditAction.PASSWORD_EMAIL_REQUESTED, AuditAction.PASSWORD_EMAIL_SENT, AuditAction.EMAIL_RESENT)
LOGINS = (AuditAction.LOGGED_IN, AuditAction.LOGGED_OUT, AuditAction.SESSIONS_ENDED)
BY_STAFF = Q(actor__startswith="staff:")


@dataclass(frozen=True)
class TimelineKind:
    """One choice of the filter: its name, the entries of the audit trail it has, and the tables it has."""

    label: str
    entries: Q | None = None
    tables: tuple[str, ...] = ()


KINDS: dict[str, TimelineKind] = {
    "stripe": TimelineKind("Payments and Stripe", Q(action__in=PAYMENTS), ("event",)),
    "decisions": TimelineKind("Decisions", Q(action=AuditAction.ACCESS_CHANGED)),
    "steps": TimelineKind("Steps at Keycloak and seats", Q(action__in=STEPS)),
    "jobs": TimelineKind("Jobs that failed, were retried or wait", None, ("job",)),
    "emails": TimelineKind("Emails", Q(action__in=MAILS), ("email",)),
    "logins": TimelineKind("Logins and logouts", Q(action__in=LOGINS)),
    "staff": TimelineKind("Staff", BY_STAFF),
    "signups": TimelineKind("Signup, recovery, waitlist", Q(action__in=SIGNUPS), ("signup", "waitlist")),
}
EVERYTHING = TimelineKind("Everything", Q(), ("event", "job", "email", "signup", "waitlist"))


@dataclass(frozen=True)
class LinePosition:
    """The line a page ended with: its moment, its table, its row."""

    at: dt.datetime
    source: str
    row: str

    @classmethod
    def read(cls, text: str) -> Self | None:
        """What `key` wrote; None for anything else."""
        at, _, rest = text.partition("~")
        source, _, row = rest.partition("~")
        try:
            moment = dt.datetime.fromisoformat(at)
            in_utc = moment.astimezone(dt.UTC)  # the first and the last day there are, elsewhere, are none in UTC
        except (ValueError, OverflowError):
            return None
        return cls(in_utc, source, row) if row and moment.tzinfo is not None else None

    def key(self) -> str:
        return f"{self.at.isoformat()}~{self.source}~{self.row}"

    def older(self, source: str) -> Q:
        """The rows of a table that come after this line, on an older page."""
        if source == self.source:
            return Q(line_at__lt=self.at) | Q(line_at=self.at, line_row__lt=self.row)
        return Q(line_at__lte=self.at) if source < self.source else Q(line_at__lt=self.at)


@dataclass(frozen=True)
class Wanted:
    """What is asked for: a kind (empty: everything), days from and until (the last included), an id, and the page.

    `ignored`: also Stripe's events that say nothing new to us; they are most of them.
    """

    kind: str = ""
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    term: str = ""
    before: LinePosition | None = None
    ignored: bool = True

    @property
    def is_narrowed(self) -> bool:
        return bool(self.kind or self.since or self.until or self.term)


@dataclass(frozen=True)
class StoredLine:
    """A row of one of the tables, as the statement gives it."""

    at: dt.datetime
    source: str
    row: str
    values: dict[str, Any] = field(hash=False)

    @property
    def cursor(self) -> LinePosition:
        return LinePosition(self.at, self.source, self.row)


def read_lines(profile: UserProfile, wanted: Wanted, *, size: int = SIZE) -> tuple[list[StoredLine], bool]:
    """A page of the timeline, the newest first, and whether there are older lines. One statement."""
    parts = [
        _part(source, rows, at, values, wanted)[: size + 1]
        for source, rows, at, values in _sources(profile, KINDS.get(wanted.kind, EVERYTHING), wanted)
    ]
    first, *others = parts
    ordered = ("-line_at", "-line_source", "-line_row")
    found = first.union(*others, all=True).order_by(*ordered)[: size + 1] if others else first
    lines = [StoredLine(at, source, row, mask_row(MODELS[source], values)) for at, source, row, values in found]
    return lines[:size], len(lines) > size


def _part(source: str, rows: QuerySet[Any], at: Any, values: dict[str, Any], wanted: Wanted) -> QuerySet[Any, Any]:
    """The lines of one table that are asked for; all parts have the same columns."""
    row = LPad(Cast("pk", CharField()), DIGITS, Value("0")) if _is_numbered(rows) else Cast("pk", CharField())
    found: Any = rows.annotate(line_at=at, line_source=Value(source), line_row=row, line_values=JSONObject(**values))
    if wanted.since:
        found = found.filter(line_at__gte=wanted.since)
    if wanted.until:
        found = found.filter(line_at__lt=wanted.until)
    if wanted.before:
        found = found.filter(wanted.before.older(source))
    asked: QuerySet[Any, Any] = found.values_list("line_at", "line_source", "line_row", "line_values")
    return asked.order_by("-line_at", "-line_row")


def _is_numbered(rows: QuerySet[Any]) -> bool:
    return rows.model._meta.pk.get_internal_type() in {"AutoField", "BigAutoField"}


Source = tuple[str, QuerySet[Any], Any, dict[str, Any]]


def _sources(profile: UserProfile, kind: TimelineKind, wanted: Wanted) -> Iterator[Source]:
    """Each table's name, this person's rows in it, their moment, and what a line says of them."""
    if kind.entries is not None:
        values = ("id", "action", "actor", "reason", "before", "after", "subject_kind", "subject_id", "request_id")
        for entries in _entries(profile):
            said = entries.filter(kind.entries).exclude(action=AuditAction.PERSON_VIEWED)
            yield "entry", _named(said, wanted.term), F("at"), _same(*values)
    for name in kind.tables:
        rows, at, values_of = TABLES[name](profile)
        if name == "event" and not wanted.ignored:
            rows = rows.exclude(state=InboundEvent.State.IGNORED)
        yield name, _matching(name, rows, wanted.term), at, values_of


def _entries(profile: UserProfile) -> Iterator[QuerySet[AuditEntry]]:
    """What the audit trail has about the person, and about what is theirs."""
    yield audit.entries_about(profile.subject)
    things: dict[str, QuerySet[Any]] = {
        "job": _jobs(profile)[0], "event": _events(profile)[0], "notification": _emails(profile)[0], "waitlist": _waitlist(profile)[0],
    }  # fmt: skip
    for kind, rows in things.items():
        ids = rows.order_by().annotate(subject=Cast("pk", CharField())).values("subject")
        yield AuditEntry.objects.filter(subject_kind=kind, subject_id__in=Subquery(ids))


def _named(entries: QuerySet[AuditEntry], term: str) -> QuerySet[AuditEntry]:
    """The entries that name an id; those of one person are few enough to read."""
    if not term:
        return entries
    texts = entries.annotate(said_before=Cast("before", TextField()), said_after=Cast("after", TextField()))
    named = Q(said_before__icontains=term) | Q(said_after__icontains=term)
    if narrow_lookup(AuditEntry, "reason__icontains"):
        named |= Q(reason__icontains=term)
    named |= Q(request_id=term) | Q(subject_id=term, subject_kind__in=["job", "event", "notification", "waitlist"])
    return texts.annotate(text_id=Cast("pk", CharField())).filter(named | Q(text_id=term))


IDS = {
    "event": ("stripe_event_id", "object_id", "type"),
    "job": ("key", "kind"),
    "email": ("key", "template", "provider_id"),
    "signup": ("checkout_session_id",),
    "waitlist": (),
}


def _matching(name: str, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
    """The rows of a table that an id names: their own, or one they hold."""
    if not term:
        return rows
    named = Q()
    for one in IDS[name]:
        named |= Q(**{f"{one}__iexact": term})
    texts: QuerySet[Any] = rows.annotate(text_id=Cast("pk", CharField()))
    return texts.filter(named | Q(text_id__iexact=term))


def _same(*names: str, **others: Any) -> dict[str, Any]:
    return {name: F(name) for name in names} | others


Table = tuple[QuerySet[Any], Any, dict[str, Any]]


def _events(profile: UserProfile) -> Table:
    rows = InboundEvent.objects.filter(customer_id=profile.stripe_customer_id or None)
    names = ("id", "type", "state", "object_id", "stripe_event_id", "source", "stripe_created_at", "handled_at")
    return rows, F("received_at"), _same(*names)


def _jobs(profile: UserProfile) -> Table:
    """Those that did not do their work at the first attempt; the others are seen by what they did."""
    theirs = Q(kind__in=SUBSCRIBER_KINDS, key=str(profile.pk))
    if profile.stripe_customer_id:
        theirs |= Q(kind=mirror.KIND, key=profile.stripe_customer_id)
    quiet = Q(state=Job.State.DONE, attempts__lte=1, last_error="") | Q(state=Job.State.SUPERSEDED)
    names = ("id", "kind", "state", "attempts", "last_error", "parked_on", "not_before", "history", "reason")
    return (
        Job.objects.filter(theirs).exclude(quiet),
        Coalesce("finished_at", "started_at", "created_at"),
        _same(*names),
    )


def _emails(profile: UserProfile) -> Table:
    rows = Notification.objects.filter(of_person(profile))
    return (
        rows,
        Coalesce("sent_at", "created_at"),
        _same("id", "template", *EMAIL_STATE, "error", "sent_at", "created_at"),
    )


EMAIL_STATE = (
    "state",
    "delivery",
    "delivery_reason",
)  # what timeline_lines.describe_email reads to say what has become of an email


def _signups(profile: UserProfile) -> Table:
    return Signup.objects.filter(profile=profile), F("created_at"), _same("id", "state", "ended_at", "interval")


def _waitlist(profile: UserProfile) -> Table:
    rows: QuerySet[Any] = WaitlistEntry.objects.alias(address=Lower("email"))  # as the unique index has it
    mine = Q(profile=profile) | Q(address=profile.email.lower())
    names = ("id", "state", "confirmed_at", "invited_at", "invited_until")
    return rows.filter(mine), F("created_at"), _same(*names, product=F("product__name"))


MODELS: dict[str, type[Model]] = {
    "entry": AuditEntry, "event": InboundEvent, "job": Job, "email": Notification, "signup": Signup, "waitlist": WaitlistEntry,
}  # fmt: skip
TABLES = {"event": _events, "job": _jobs, "email": _emails, "signup": _signups, "waitlist": _waitlist}
