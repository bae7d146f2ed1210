"""Invitations from the waitlist by the number: who is next and why somebody is not, withdrawing one, and what became of them.

Promises: a plan changes nothing; each of the planned is invited in a transaction of its own, so that no lock of one waits for
another's; a withdrawn invitation gives its seats back and its address the position it had; nobody's is withdrawn while they pay.
"""

import datetime as dt
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import Window
from django.db.models.functions import Lead, Lower

from apps.accounts.models import Signup, UserProfile
from apps.catalog.models import Product
from apps.core import audit, clock
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.core.kept import Kept
from apps.core.models import AuditEntry
from apps.instances import capacity
from apps.instances.models import Seat
from apps.onboarding import waitlist
from apps.onboarding.models import WaitlistEntry

State = WaitlistEntry.State
MOST = 50  # invited at once
PASSED_OVER = 200  # entries of the line beyond the number that are looked at, when some are skipped

# Asked before several are invited: how many, and by whom. They raise BadInput where that takes another person.
before_many: list[Callable[[int, str], None]] = []


@dataclass(frozen=True)
class Skipped:
    """Somebody in the line who is not invited, and why."""

    entry: WaitlistEntry
    why: str


@dataclass(frozen=True)
class InvitationPlan:
    """Who is invited and who is skipped, in the order of the line. `room`: free seats by product; `full`: the one that has no more."""

    invited: tuple[WaitlistEntry, ...]
    skipped: tuple[Skipped, ...]
    room: dict[str, int]
    full: str
    waiting: int


@dataclass
class _Room:
    """Free seats that the plan has not given away."""

    apps: list[Product]
    free: dict[int, int]
    full: str = ""

    def take(self, held: set[int]) -> bool:
        """A seat on each product on which they hold none; False: one of them is full."""
        needed = [app for app in self.apps if app.pk not in held]
        self.full = next((app.name for app in needed if self.free[app.pk] <= 0), "")
        for app in needed if not self.full else []:
            self.free[app.pk] -= 1
        return not self.full


def plan_invitations(product: Product | None, count: int) -> InvitationPlan:
    """The next `count` of the product's line for whom there is room. Six queries, whatever the count."""
    apps = Product.seats_of([product.pk]) if product else []
    room = _Room(apps, capacity.free_seats([app.pk for app in apps]) if apps else {})
    before = {app.name: room.free[app.pk] for app in apps}
    line = waitlist.waiting_entries(product.pk if product else None)
    entries = list(line.select_related("product")[: count + PASSED_OVER])
    people = _read_people(entries, [app.pk for app in apps])
    invited: list[WaitlistEntry] = []
    skipped: list[Skipped] = []
    for entry in entries:
        person = people.get(entry.email.lower(), InviteeFacts())
        if len(invited) == count:
            break
        if why := person.why(apps):
            skipped.append(Skipped(entry, why))
        elif room.take(person.held):
            invited.append(entry)
        else:
            break
    return InvitationPlan(tuple(invited), tuple(skipped), before, room.full, line.count())


@dataclass
class InviteeFacts:
    """What speaks against inviting an address now, and the products that its subscriber holds a seat on or is `seated` on."""

    is_undeliverable: bool = False
    is_paying: bool = False
    seated: set[int] = field(default_factory=set)
    held: set[int] = field(default_factory=set)

    def why(self, apps: Sequence[Product]) -> str:
        """Why they are skipped; empty: they are not."""
        if self.is_undeliverable:
            return "emails to this address do not arrive"
        if self.is_paying:
            return "is paying at this moment"
        if apps and all(app.pk in self.seated for app in apps):
            return "has a seat already"
        return ""


def _read_people(entries: Sequence[WaitlistEntry], app_ids: Sequence[int]) -> dict[str, InviteeFacts]:
    """The subscribers with these addresses, by address. Three queries."""
    lowered = UserProfile.objects.annotate(lowered=Lower("email"))
    rows = lowered.filter(lowered__in={entry.email.lower() for entry in entries})
    found = {
        pk: (email, InviteeFacts(bool(problem)))
        for pk, email, problem in rows.values_list("pk", "lowered", "email_problem")
    }
    paying = Signup.objects.filter(profile__in=found, state=Signup.State.CHECKOUT)
    for pk in paying.values_list("profile_id", flat=True):
        found[pk or 0][1].is_paying = True
    live = Seat.objects.filter(profile__in=found, product__in=app_ids).exclude(state=Seat.State.RELEASED)
    for pk, app, state in live.values_list("profile_id", "product_id", "state"):
        person = found[pk][1]
        person.held.add(app)
        if state != Seat.State.RESERVED:
            person.seated.add(app)
    return dict(found.values())


def invite_all(entry_ids: Sequence[uuid.UUID], *, actor: str, reason: str) -> tuple[int, list[str]]:
    """Invite these, each by itself; returns how many were invited and why the others were not. Not within a transaction.

    BadInput, and nobody is invited, where the actor may not invite so many alone.
    """
    for check in before_many:
        check(len(entry_ids), actor)
    invited, refusals = 0, []
    for entry_id in entry_ids[:MOST]:
        try:
            waitlist.invite(entry_id, actor=actor, reason=reason)
        except BadInput as refusal:
            refusals.append(refusal.message)
        except WaitlistEntry.DoesNotExist:
            refusals.append("This entry is no longer waiting.")
        else:
            invited += 1
    return invited, refusals


# --- withdrawing ------------------------------------------------------------------------------------------------------


def refuse_withdrawal(entry: WaitlistEntry) -> str:
    """Why this entry's invitation cannot be withdrawn; empty: it can."""
    if entry.state != State.INVITED or entry.invited_until is None:
        return "This address has no invitation."
    return "" if entry.invited_until > clock.now() else "The invitation has run out already."


@transaction.atomic
def withdraw(entry_id: uuid.UUID, *, actor: str, reason: str) -> WaitlistEntry:
    """End an invitation that was not used, give its seats back, and put the address where it was in its line.

    BadInput when there is none, or it is being paid for.
    """
    entry = WaitlistEntry.objects.select_for_update(of=("self",)).select_related("product", "profile").get(pk=entry_id)
    if refusal := refuse_withdrawal(entry):
        raise BadInput(refusal)
    if waitlist.is_paying(entry.profile):
        raise BadInput("They are paying at this moment. Wait until the payment has ended.")
    entry.state, entry.invited_at, entry.invited_until = State.WAITING, None, None
    entry.save(update_fields=["state", "invited_at", "invited_until"])
    waitlist.release_held_seats(entry)
    audit.record(
        subject=("waitlist", str(entry.pk)), action=AuditAction.WAITLIST_WITHDRAWN, actor=actor, reason=reason,
        after={"product": entry.product.slug if entry.product else ""},
    )  # fmt: skip
    return entry


# --- what became of them ----------------------------------------------------------------------------------------------

ENDS: dict[str, str] = {
    AuditAction.WAITLIST_SIGNED_UP: "signed_up",
    AuditAction.WAITLIST_WITHDRAWN: "withdrawn",
    AuditAction.WAITLIST_LEFT: "left",
}


@dataclass
class Conversion:
    """Invitations of the last days, and what became of them: each has one end, or is still open."""

    days: int
    signed_up: int = 0
    withdrawn: int = 0
    left: int = 0
    expired: int = 0
    open: int = 0

    @property
    def invited(self) -> int:
        return self.signed_up + self.withdrawn + self.left + self.expired + self.open

    @property
    def percent(self) -> int:
        """Of those that have ended, how many signed up."""
        ended = self.invited - self.open
        return round(100 * self.signed_up / ended) if ended else 0


def count_conversions(*spans: int) -> list[Conversion]:
    """Of the invitations of so many last days, what became of them. One query over the audit trail of the waitlist."""
    now, found = clock.now(), [Conversion(days) for days in spans]
    actions = [AuditAction.WAITLIST_INVITED, *ENDS]
    rows = AuditEntry.objects.filter(
        subject_kind="waitlist", action__in=actions, at__gte=now - dt.timedelta(days=max(spans))
    )
    following = Window(Lead("action"), partition_by="subject_id", order_by="id")
    steps = rows.order_by().annotate(following=following).values_list("action", "at", "after", "following")
    for action, at, after, ended_by in steps:
        if action != AuditAction.WAITLIST_INVITED:
            continue
        is_open = ended_by is None and after.get("until", "") > now.isoformat()
        end = ENDS.get(ended_by or "", "open" if is_open else "expired")
        for one in found:
            if at >= now - dt.timedelta(days=one.days):
                setattr(one, end, getattr(one, end) + 1)
    return found


CONVERSIONS = Kept(lambda: count_conversions(30, 90), seconds=60)
