"""How each line of a subscriber's timeline reads: one plain sentence, what was different afterwards, who, and where its page is."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from apps.accounts.models import Signup
from apps.billing.models import InboundEvent
from apps.console import timeline
from apps.console.columns import describe_actor, when
from apps.console.timeline_sources import StoredLine
from apps.core import jobs
from apps.core.audit_actions import AuditAction, action_label
from apps.core.models import AuditEntry, Job
from apps.core.reason_sentences import reason_sentence
from apps.core.reasons import Reason
from apps.core.states import AccessState, Tone
from apps.notifications.email_list import email_title
from apps.notifications.models import Notification
from apps.onboarding.models import WaitlistEntry

LATE = dt.timedelta(minutes=5)  # after which an event says when it happened
RUNS = 5  # of a job's last runs that are told
EVENTS = {
    "checkout.session.completed": "Checkout was finished",
    "checkout.session.expired": "Checkout ended without a payment",
    "checkout.session.async_payment_succeeded": "The first payment arrived",
    "checkout.session.async_payment_failed": "The first payment failed",
    "customer.updated": "The customer was changed at Stripe",
    "customer.deleted": "The customer was deleted at Stripe",
    "customer.subscription.created": "A subscription began",
    "customer.subscription.updated": "The subscription was changed",
    "customer.subscription.deleted": "The subscription ended",
    "customer.subscription.paused": "The subscription was paused",
    "customer.subscription.resumed": "The subscription was resumed",
    "customer.subscription.trial_will_end": "The trial ends soon",
    "customer.discount.created": "A discount began",
    "customer.discount.updated": "The discount was changed",
    "customer.discount.deleted": "The discount ended",
    "invoice.paid": "An invoice was paid",
    "invoice.payment_succeeded": "A payment succeeded",
    "invoice.payment_failed": "A payment failed",
    "invoice.payment_action_required": "A payment waits for the customer's bank",
    "invoice.upcoming": "An invoice is due soon",
    "invoice.voided": "An invoice was voided",
    "invoice.marked_uncollectible": "An invoice was marked as uncollectible",
    "invoice.finalization_failed": "An invoice could not be finalized",
    "credit_note.created": "A credit note was issued",
    "credit_note.updated": "A credit note was changed",
    "credit_note.voided": "A credit note was voided",
    "charge.refunded": "A payment was refunded",
    "charge.refund.updated": "A refund was changed",
    "refund.created": "A refund was started",
    "refund.updated": "A refund was changed",
    "refund.failed": "A refund failed",
    "charge.dispute.created": "A payment was disputed",
    "charge.dispute.updated": "A dispute was changed",
    "charge.dispute.funds_withdrawn": "The bank took the disputed payment back",
    "charge.dispute.funds_reinstated": "The bank returned the disputed payment",
    "charge.dispute.closed": "A dispute was closed",
}


@dataclass(frozen=True)
class TimelineLine:
    """A line as the page shows it. `moment`: for people and, exactly, on hover; `state` and `tone`: its badge, if any."""

    at: dt.datetime
    title: str
    url: str
    state: str = ""
    tone: str = str(Tone.CALM)
    details: tuple[str, ...] = ()
    changes: tuple[tuple[str, str, str], ...] = ()
    actor: str = ""


def describe(stored: StoredLine) -> TimelineLine:
    return DESCRIBERS[stored.source](stored.at, stored.values)


def _moment(text: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None


def _page(name: str, row: Any) -> str:
    return reverse(f"admin:{name}_change", args=[row])


def _entry(at: dt.datetime, values: dict[str, Any]) -> TimelineLine:
    said = values | {"before": dict(values["before"]), "after": dict(values["after"])}
    entry = AuditEntry(at=at, **said)
    title, details = action_label(entry.action), [entry.reason] if entry.reason else []
    if entry.action == AuditAction.ACCESS_CHANGED:
        title, why = _decision(entry)
        details = [why] if why else details
    elif entry.subject_kind != "profile":
        details.insert(0, f"{timeline.subject_of(entry)[0].capitalize()}.")
    return TimelineLine(
        at,
        title,
        _page("core_auditentry", entry.pk),
        details=tuple(details),
        changes=tuple(timeline.differences(entry)),
        actor=describe_actor(entry.actor),
    )


def _decision(entry: AuditEntry) -> tuple[str, str]:
    """What a decision changed, and why; the states and reasons are taken out of what the line lists as different."""
    before, after = (_state(values.pop("state", "")) for values in (entry.before, entry.after))
    entry.before.pop("why", None)
    reason = Reason.from_json(entry.after.pop("why", {}) or {})
    return f"Access changed from {before} to {after}", reason_sentence(reason) if reason else entry.reason


def _state(value: str) -> str:
    return AccessState(value).label if value in set(AccessState) else value or "nothing"


def _event(at: dt.datetime, values: dict[str, Any]) -> TimelineLine:
    details = []
    made, handled = _moment(values["stripe_created_at"]), _moment(values["handled_at"])
    if values["source"] == "backfill":
        details.append("Stripe could not deliver it, so it was fetched.")
    if made and at - made > LATE:
        details.append(f"It happened at Stripe on {when(made)}.")
    if handled is None:
        details.append("It waits for its job.")
    state = InboundEvent.State(values["state"])
    known = EVENTS.get(values["type"])
    about = " ".join(one for one in (values["type"] if known else "", values["object_id"]) if one)
    return TimelineLine(
        at, f"Stripe: {known or values['type']}", _page("billing_inboundevent", values["id"]), str(state.label),
        str(state.tone), (*([about] if about else []), *details),
    )  # fmt: skip


def _job(at: dt.datetime, values: dict[str, Any]) -> TimelineLine:
    state = Job.State(values["state"])
    tries = f"{values['attempts']} attempt{'' if values['attempts'] == 1 else 's'}"
    name = jobs.kind_label(values["kind"])
    due = _moment(values["not_before"])
    title = {
        Job.State.QUEUED: f"{name}: waits, after {tries}" if values["attempts"] else f"{name}: waits",
        Job.State.RUNNING: f"{name}: runs",
        Job.State.DONE: f"{name}: done after {tries}",
        Job.State.BLOCKED: f"{name}: stopped, staff have to act",
        Job.State.DEAD: f"{name}: failed after {tries}",
    }.get(state, name)
    details = []
    if state == Job.State.QUEUED and values["parked_on"]:
        details.append(f"It goes on when {values['parked_on'].capitalize()} answers.")
    elif state == Job.State.QUEUED and due:
        details.append(f"It is due on {when(due)}.")
    if values["last_error"]:
        details.append(values["last_error"])
    runs = [run for run in values["history"] if run.get("outcome") in ("retry", "parked") and run.get("reason")]
    details += [f"{_run_moment(run)} {run['reason']}" for run in reversed(runs[-RUNS:])]
    return TimelineLine(
        at, title, _page("core_job", values["id"]), str(state.label), str(state.tone), tuple(dict.fromkeys(details)), actor=values["reason"]
    )  # fmt: skip


def _run_moment(run: dict[str, Any]) -> str:
    try:
        return f"{when(dt.datetime.fromisoformat(str(run.get('at', ''))))}:"
    except ValueError:
        return "Before:"


def describe_email(values: dict[str, Any]) -> tuple[str, str]:
    """What has become of an email, and its tone: what the other mail server said, else how far we came with it."""
    if values["delivery"]:
        told = Notification.Delivery(values["delivery"])
        return str(told.label), str(told.tone)
    state = Notification.State(values["state"])
    return str(state.label), str(state.tone)


def _email(at: dt.datetime, values: dict[str, Any]) -> TimelineLine:
    state, tone = describe_email(values)
    details = [one for one in (values["error"], values["delivery_reason"]) if one]
    asked, sent = _moment(values["created_at"]), _moment(values["sent_at"])
    if asked and sent and sent - asked > LATE:
        details.append(f"It was requested on {when(asked)}.")
    url = _page("notifications_notification", values["id"])
    return TimelineLine(at, f"Email: {email_title(values['template'])}", url, state, tone, tuple(details))


def _signup(at: dt.datetime, values: dict[str, Any]) -> TimelineLine:
    state, ended = Signup.State(values["state"]), _moment(values["ended_at"])
    details = (f"It ended on {when(ended)}.",) if ended else ()
    url = _page("accounts_signup", values["id"])
    return TimelineLine(at, "Began to sign up", url, str(state.label), str(state.tone), details, actor="the subscriber")


def _waitlist(at: dt.datetime, values: dict[str, Any]) -> TimelineLine:
    state = WaitlistEntry.State(values["state"])
    moments = (
        ("Confirmed", "confirmed_at"),
        ("Invited", "invited_at"),
        ("The invitation holds until", "invited_until"),
    )
    details = tuple(f"{word} {when(_moment(values[name]))}." for word, name in moments if values[name])
    title = f"Asked for the waitlist of {values['product'] or 'any product'}"
    url = _page("onboarding_waitlistentry", values["id"])
    return TimelineLine(at, title, url, str(state.label), str(state.tone), details, actor="the subscriber")


DESCRIBERS: dict[str, Callable[[dt.datetime, dict[str, Any]], TimelineLine]] = {
    "entry": _entry,
    "event": _event,
    "job": _job,
    "email": _email,
    "signup": _signup,
    "waitlist": _waitlist,
}
