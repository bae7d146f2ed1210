"""Contracts that customers end themselves: they cancel for the end of the period, or withdraw within the days the law grants.

Promises: a statement counts from the moment it is made, wherever it is made (on the dashboard or without a login) and whatever
Stripe does; it is kept in the audit trail, confirmed by email with its time, and carried out by a job; making it twice is one
statement; what the job cannot do waits for staff; nobody takes one back while it is being carried out.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from apps.access import terms
from apps.access.order_confirmation import OrderConfirmation, read_orders
from apps.accounts.models import Signup, UserProfile
from apps.billing import payment_changes, withdrawals
from apps.billing.change_requests import ChangeRequest
from apps.billing.subscriptions import SubscriptionState, end_if_canceled, read_subscriptions
from apps.core import attention, audit, clock, jobs, languages
from apps.core.attention import Cause
from apps.core.audit_actions import AuditAction
from apps.core.dates import day, day_time
from apps.core.errors import BadInput
from apps.core.models import AuditEntry, Job
from apps.core.states import SubscriptionStatus
from apps.notifications.mail import notify

KIND = "end_contract"  # job kind; its key says what was stated, by whom, when, about which subscription


class Wish(StrEnum):
    """What a customer states about a contract."""

    CANCEL = "cancel"
    WITHDRAW = "withdraw"


ACTIONS = {Wish.CANCEL: AuditAction.CONTRACT_CANCELED, Wish.WITHDRAW: AuditAction.CONTRACT_WITHDRAWN}
TEMPLATES = {Wish.CANCEL: "contract_canceled", Wish.WITHDRAW: "contract_withdrawn"}
NOT_RUNNING = gettext_noop("This contract has ended already, or it isn't yours. Please look at this page again.")
BUSY = gettext_noop("Your subscription is being changed right now. Please wait a minute and try again.")
TOO_LATE = gettext_noop("The time to withdraw from this contract is over. You can still cancel it.")


@dataclass(frozen=True)
class Statement:
    """A statement that was received: what, when, and on which day the contract ends. `reason`: the customer's own."""

    wish: Wish
    at: dt.datetime
    subscription_id: str
    ends_on: dt.date | None

    @property
    def key(self) -> str:
        return f"{self.wish}:{int(self.at.timestamp())}:{self.subscription_id}"


@dataclass(frozen=True)
class Contract:
    """A running contract. `ends_at`: when it ends if it is canceled; `stated`: what its customer has stated and not taken back.

    `number`: how much was stated and taken back so far; `pays_for_days`: who withdraws gets back all but the days they had.
    `product_ids`: of its lines.
    """

    id: str
    made_at: dt.datetime
    ends_at: dt.datetime | None
    order: OrderConfirmation
    stated: Statement | None
    number: int
    pays_for_days: bool
    product_ids: tuple[int | None, ...]

    @property
    def name(self) -> str:
        return ", ".join(line.title for line in self.order.lines)

    @property
    def can_withdraw(self) -> bool:
        """Whether its days to withdraw are not over. They end with a day everywhere (UTC-12)."""
        last = self.order.withdraw_until
        return last is not None and (clock.now() - dt.timedelta(hours=12)).date() <= last


def register() -> None:
    """Make the job kind known."""
    jobs.register(KIND, carry_out, label="End a contract for its customer", needs=("stripe",))


def read_contracts(profile: UserProfile) -> list[Contract]:
    """The contracts that run, the oldest first, from our own rows. At most nine queries."""
    states = [
        one for one in read_subscriptions(profile.stripe_customer_id) if SubscriptionStatus(one.status).may_charge
    ]
    orders = read_orders(profile, [one.id for one in states])
    if not orders:
        return []
    entries, pays_for_days = _read_entries(profile), _pays_for_days(profile)
    unfinished = _read_unfinished(profile, entries)
    return [
        Contract(
            id=one.id,
            made_at=order.made_at,
            ends_at=end_if_canceled(one),
            order=order,
            stated=_find_stated(one, entries[one.id], unfinished),
            number=len(entries[one.id]),
            pays_for_days=pays_for_days,
            product_ids=tuple(line.product_id for line in one.lines),
        )
        for one in states
        if (order := orders.get(one.id))
    ]


def find_pending(profile: UserProfile) -> dict[str, Statement]:
    """By subscription what the customer has stated and is not carried out yet. Two queries at most."""
    entries = _read_entries(profile)
    unfinished = _read_unfinished(profile, entries) if entries else set()
    stated = {one: _find_in_force(rows) for one, rows in entries.items()}
    return {one: made for one, made in stated.items() if made is not None and made.key in unfinished}


def _find_stated(one: SubscriptionState, entries: list[AuditEntry], unfinished: set[str]) -> Statement | None:
    """The statement in force; None also once a cancellation was taken back at Stripe, where its subscription goes on."""
    found = _find_in_force(entries)
    if found is None or found.wish == Wish.WITHDRAW or one.cancel_at is not None:
        return found
    return found if found.key in unfinished else None


def _read_unfinished(profile: UserProfile, entries: Mapping[str, list[AuditEntry]]) -> set[str]:
    """The keys of the statements in these entries that are not carried out."""
    start = f"{profile.pk}:"
    stated = [_statement_of(one) for rows in entries.values() for one in rows if one.action in ACTIONS.values()]
    # By whole keys: where text is not sorted by its bytes, as in a German database, no index finds them by how they begin.
    jobs_of = Job.objects.filter(kind=KIND, key__in=[f"{start}{one.key}" for one in stated])
    return {key.removeprefix(start) for key in jobs_of.exclude(state__in=Job.FINISHED).values_list("key", flat=True)}


def _read_entries(profile: UserProfile) -> defaultdict[str, list[AuditEntry]]:
    """By subscription what was stated about it, and taken back, the newest first."""
    wanted = [*ACTIONS.values(), AuditAction.CANCELLATION_UNDONE]
    rows = audit.entries_about(profile.subject).filter(action__in=wanted).order_by("-id")
    found = defaultdict[str, list[AuditEntry]](list)
    for one in rows:
        found[one.after.get("subscription") or one.after.get("at_stripe", "")].append(one)
    return found


def _find_statement(profile: UserProfile, subscription_id: str) -> Statement | None:
    return _newest(_read_entries(profile)[subscription_id])


def _find_in_force(entries: list[AuditEntry]) -> Statement | None:
    """The newest statement; None once it was taken back here, by its customer or staff. Nobody takes a withdrawal back."""
    found = _newest(entries)
    return None if found and found.wish == Wish.CANCEL and _is_taken_back(entries) else found


def _is_taken_back(entries: list[AuditEntry]) -> bool:
    """Whether the last word about a contract is that it goes on."""
    return bool(entries) and entries[0].action == AuditAction.CANCELLATION_UNDONE


def _newest(entries: list[AuditEntry]) -> Statement | None:
    return next((_statement_of(one) for one in entries if one.action in ACTIONS.values()), None)


def _statement_of(entry: AuditEntry) -> Statement:
    ends, stated = entry.after.get("ends_on"), entry.after.get("stated_at")
    wish = next(one for one, action in ACTIONS.items() if action == entry.action)
    at = dt.datetime.fromisoformat(stated) if stated else entry.at  # older entries have no moment but their own
    return Statement(wish, at, entry.after["subscription"], dt.date.fromisoformat(ends) if ends else None)


@transaction.atomic
def state(profile: UserProfile, subscription_id: str, wish: Wish, *, reason: str = "", feedback: str = "") -> Statement:
    """Receive a statement: keep it, confirm it by email and have it carried out. The same one again is the one that is there.

    BadInput when there is no such contract, or it is too late to withdraw. `reason`: of a customer who cancels for a special
    reason and wants more than the end of the period; staff read it. `feedback`: why they leave, in Stripe's words (FEEDBACK).
    """
    contract = next((one for one in read_contracts(profile) if one.id == subscription_id), None)
    if contract is None:
        raise BadInput(_(NOT_RUNNING), code="not_running", status=409)
    if contract.stated is not None and contract.stated.wish in {wish, Wish.WITHDRAW}:
        return contract.stated
    if wish == Wish.WITHDRAW and not contract.can_withdraw:
        raise BadInput(_(TOO_LATE), code="too_late", status=409)
    now = clock.now().replace(microsecond=0)
    ends = now if wish == Wish.WITHDRAW else contract.ends_at
    made = Statement(wish, now, subscription_id, ends.date() if ends else None)
    if not _confirm(profile, contract, made):  # another tab was faster; its statement is there now
        return _find_statement(profile, subscription_id) or made
    _keep(profile, made, reason, feedback)
    return made


def take_back(asked: ChangeRequest, subscription_id: str) -> None:
    """Let a contract go on that its customer has canceled. BadInput `busy` while what they stated is being carried out."""
    if subscription_id in find_pending(asked.profile):
        raise BadInput(_(BUSY), code="busy", status=409)
    payment_changes.undo_cancellation(asked, subscription_id=subscription_id)


def _confirm(profile: UserProfile, contract: Contract, made: Statement) -> bool:
    """Ask for the email that confirms a statement; False when one of this contract was asked for: its key is the guard."""
    with languages.speaking_to(profile.language):
        values = {
            "first_name": profile.user.first_name,
            "received": f"{day_time(made.at)} UTC",
            "contract": contract.name,
            "made_on": day(contract.made_at),
        }
        if made.wish == Wish.CANCEL:
            values |= _dates(profile, contract)
    key = f"{TEMPLATES[made.wish]}:{profile.pk}:{contract.id}:{contract.number}"
    return notify(key=key, template=TEMPLATES[made.wish], to=profile.email, profile=profile, context=values)


def _dates(profile: UserProfile, contract: Contract) -> dict[str, str]:
    """When it ends, and until when its customer's things are kept; empty while Stripe has not said when."""
    if contract.ends_at is None:
        return {}
    kept_until = contract.ends_at + terms.read_terms(profile.pk).kept_for(contract.product_ids, profile.pk)
    return {"ends_on": day(contract.ends_at), "final_date": day(kept_until)}


def _keep(profile: UserProfile, made: Statement, reason: str, feedback: str) -> None:
    """Keep a statement in the audit trail, and have it carried out; a special reason is for staff."""
    jobs.defer(KIND, f"{profile.pk}:{made.key}", reason=f"the customer wants to {made.wish}")
    if reason:
        said = "A customer cancels for a special reason, which is in the timeline. Read it, and answer: it may end the contract at once."
        attention.report(Cause.CONTRACT, made.key, said, profiles=[profile.pk])
    ends_on = made.ends_on.isoformat() if made.ends_on else None
    after = {"subscription": made.subscription_id, "stated_at": made.at.isoformat(), "ends_on": ends_on}
    after |= {"feedback": feedback} if feedback else {}
    audit.record(subject=profile.subject, action=ACTIONS[made.wish], actor=audit.CUSTOMER, reason=reason, after=after)


# --- the job -----------------------------------------------------------------------------------------------------------


def carry_out(key: str) -> None:
    """The job: do at Stripe what a customer has stated. What Stripe refuses, or no refund can do, waits for staff."""
    number, _, rest = key.partition(":")
    wish, stamp, subscription_id = rest.split(":", 2)
    profile = UserProfile.objects.select_related("user").filter(pk=number).first()
    if profile is None or not profile.stripe_customer_id:
        return
    stated_at = dt.datetime.fromtimestamp(int(stamp), dt.UTC)
    asked = ChangeRequest(profile, rest, audit.CUSTOMER, ACTIONS[Wish(wish)].label.lower())
    try:
        if wish == Wish.CANCEL:
            entries = _read_entries(profile)[subscription_id]
            if not _is_taken_back(entries):  # by staff, after this had failed
                withdrawals.end_at_period_end(asked, subscription_id, feedback=_find_feedback(entries))
            return
        withdrawals.end_now(asked, subscription_id)
        used_until = stated_at if _pays_for_days(profile) else None
        left_over = withdrawals.give_back(asked, subscription_id, used_until=used_until)
    except BadInput as refusal:
        _leave_to_staff(profile, rest, refusal.message)
        return
    if left_over:
        _leave_to_staff(profile, rest, f"What could be refunded went back. {' '.join(left_over)}")


def _find_feedback(entries: list[AuditEntry]) -> str:
    """Why the customer leaves, as they said last; empty when they did not say it."""
    stated = (one for one in entries if one.action == AuditAction.CONTRACT_CANCELED)
    return next((str(one.after.get("feedback", "")) for one in stated), "")


def _pays_for_days(profile: UserProfile) -> bool:
    """Whether the days until a withdrawal are paid for: only by those who asked us to begin at once."""
    if settings.WITHDRAWAL_REFUND != "pro-rata":
        return False
    signup = Signup.objects.filter(profile=profile, state=Signup.State.PAID).order_by("-created_at").first()
    return signup is not None and signup.asked_to_begin_at is not None


def _leave_to_staff(profile: UserProfile, key: str, why: str) -> None:
    wish = "withdrew from a contract" if key.startswith(Wish.WITHDRAW) else "canceled a contract"
    said = f"A customer {wish}, and not all of it could be done automatically: {why} Finish it on the subscriber's page, then close this."
    attention.report(Cause.CONTRACT, key, said, profiles=[profile.pk])
