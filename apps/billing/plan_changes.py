"""A subscriber's change of plan, interval and quantities: what Stripe says it costs, and the change exactly as it was shown.

Promises: what is charged is what the preview said, since Stripe splits the time at the same second and the subscription is still
the one that was seen; it is paid or nothing changes, and where the bank asks the customer first, it waits for that on the page of
its invoice for 23 hours; a form that is sent twice is one change, by the key in the
subscription's metadata. docs.stripe.com/billing/subscriptions/prorations and pending-updates
"""

import datetime as dt
import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

import stripe

from apps.billing.change_requests import (
    ChangeRequest,
    DoneAlready,
    ask,
    carry_out,
    check_subscription,
    expect_own,
    of_subscription,
)
from apps.billing.parsing import identify, listed, moment, parse_subscription, plain, text, whole
from apps.billing.payment_changes import of_invoice
from apps.billing.stripe_refusals import ASKS
from apps.core import attention, clock
from apps.core.attention import Cause
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput, WorkError
from apps.core.states import SubscriptionStatus

MARK = "frontdesk_change"  # in the subscription's metadata: the key of the form that changed it last
CHANGEABLE = {SubscriptionStatus.ACTIVE, SubscriptionStatus.TRIALING}

type Items = list[dict[str, Any]]


@dataclass(frozen=True)
class PlanChange:
    """`items`: as Stripe's update takes them. `seen`: a digest of the subscription it was computed for. `at`: Unix seconds."""

    subscription_id: str
    items: Items
    seen: str
    at: int

    def as_dict(self) -> dict[str, Any]:
        """For a signed form."""
        return asdict(self)


@dataclass(frozen=True)
class PlanPreview:
    """What the change costs, in minor units: `today`, and `then` at `then_at` and each period.

    `total`: of the change's invoice before credit; below 0 it becomes credit. `lines`: how it is computed, in Stripe's words.
    """

    change: PlanChange
    total: int
    today: int
    then: int | None
    then_at: dt.datetime | None
    currency: str
    lines: tuple[tuple[str, int], ...]

    @property
    def credit(self) -> int:
        """What is set off against later payments."""
        return max(0, -self.total)

    @property
    def from_credit(self) -> int:
        """What of it is paid from credit that is there already."""
        return max(0, self.total - self.today)


def preview_change(asked: ChangeRequest, *, subscription_id: str, items: Items) -> PlanPreview:
    """What Stripe would charge: three calls, nothing is changed. Raises BadInput, and the errors of calling_stripe."""

    def call(client: stripe.StripeClient) -> PlanPreview:
        found = expect_own(asked, client.v1.subscriptions.retrieve(subscription_id))
        if refusal := _refuse(found):
            raise BadInput(refusal, code="changed")
        change = PlanChange(subscription_id, items, digest(found), _now_in_period(found))
        about: Any = {"subscription": subscription_id}
        details = {"items": items, "proration_behavior": "always_invoice", "proration_date": change.at}
        made = plain(client.v1.invoices.create_preview(about | {"subscription_details": details}))
        later = about | {"preview_mode": "recurring", "subscription_details": {"items": items}}
        return _preview(change, found, made, plain(client.v1.invoices.create_preview(later)))

    found: PlanPreview = ask(call)
    return found


def change_plan(asked: ChangeRequest, change: PlanChange) -> str:
    """Make the change that was shown. Empty when it is made; else the page where the bank asks the customer before it is.

    Raises as carry_out: BadInput `declined`, also where the bank would ask and there is no such page, or `pending` while an earlier
    change waits for its payment.
    """
    wish = {"payment_behavior": "error_if_incomplete", "off_session": False, "metadata": {MARK: asked.key}}
    try:
        _update(asked, change, AuditAction.PLAN_CHANGED, wish)
    except BadInput as refusal:
        if refusal.details.get("decline") != ASKS:
            raise
        made = _update(asked, change, AuditAction.PLAN_CHANGE_WAITS, {"payment_behavior": "pending_if_incomplete"})
        if not made.get("pending_update"):
            return ""
        if page := text(plain(made.get("latest_invoice")).get("hosted_invoice_url"), 2000):
            return page
        _drop(asked, identify(made.get("latest_invoice")))
        raise
    return ""


def _update(asked: ChangeRequest, change: PlanChange, action: AuditAction, wish: dict[str, Any]) -> dict[str, Any]:
    """Have Stripe make the change; the subscription it answers, empty when this was made before."""
    made: dict[str, Any] = {}

    def refuse(found: dict[str, Any]) -> str:
        if plain(found.get("metadata")).get(MARK) == asked.key:
            raise DoneAlready
        return _refuse(found) or ("" if digest(found) == change.seen else "It has changed since the preview.")

    def call(client: stripe.StripeClient, options: Any) -> Any:
        split = {"proration_behavior": "always_invoice", "proration_date": change.at}
        asked_for: Any = {"items": change.items, "expand": ["latest_invoice"]} | split | wish
        found = client.v1.subscriptions.update(change.subscription_id, asked_for, options)
        made.update(plain(found))
        return found

    check = check_subscription(asked, change.subscription_id, refuse)
    carry_out(asked, action, change.subscription_id, check, call, _describe)
    return made


def _drop(asked: ChangeRequest, invoice_id: str) -> None:
    """Let nobody wait for a payment that nobody can make: without its invoice, Stripe forgets the change.

    Where that fails, staff void it; where nobody does, or a crash comes between, Stripe forgets it after 23 hours.
    """

    def check(client: stripe.StripeClient) -> dict[str, Any]:
        return of_invoice(expect_own(asked, client.v1.invoices.retrieve(invoice_id)))

    def call(client: stripe.StripeClient, options: Any) -> Any:
        return client.v1.invoices.void_invoice(invoice_id, {}, options)

    try:
        carry_out(asked, AuditAction.PLAN_CHANGE_DROPPED, invoice_id, check, call, of_invoice)
    except (BadInput, WorkError) as problem:
        why = problem.message if isinstance(problem, BadInput) else problem.reason
        said = f"A change of plan waits for a payment that can be made on no page, and its invoice {invoice_id} was not voided: {why}"
        attention.report(Cause.PAGE_REFUSED, invoice_id, f"{said} Void it at Stripe.", profiles=[asked.profile.pk])


def digest(subscription: dict[str, Any]) -> str:
    """A name for exactly these lines in this period."""
    lines = [
        [identify(one), identify(one.get("price")), whole(one.get("quantity")), whole(one.get("current_period_end"))]
        for one in map(plain, listed(subscription.get("items")))
    ]
    return hashlib.sha256(json.dumps(sorted(lines, key=str)).encode()).hexdigest()[:32]


def _refuse(found: dict[str, Any]) -> str:
    """Why it cannot be changed. Raises BadInput while a change waits."""
    if found.get("pending_update"):
        raise BadInput("An earlier change waits for its payment.", code="pending")
    facts = parse_subscription(found)
    if facts.status not in CHANGEABLE or facts.leaves_at or facts.pause:
        return "It is late, paused, or about to end."
    return ""


def _now_in_period(found: dict[str, Any]) -> int:
    """Now; our clock may be a little behind Stripe's, which splits no time before the period."""
    starts = [whole(plain(one).get("current_period_start")) or 0 for one in listed(found.get("items"))]
    return max([int(clock.timestamp()), *starts])


def _preview(change: PlanChange, found: dict[str, Any], made: dict[str, Any], later: dict[str, Any]) -> PlanPreview:
    lines = [plain(one) for one in listed(made.get("lines"))]
    return PlanPreview(
        change=change,
        total=whole(made.get("total")) or 0,
        today=whole(made.get("amount_due")) or 0,
        then=whole(later.get("total")),
        then_at=_next_period(lines) or _period_end(found),
        currency=text(made.get("currency"), 16),
        lines=tuple((text(one.get("description"), 300), whole(one.get("amount")) or 0) for one in lines),
    )


def _next_period(lines: list[dict[str, Any]]) -> dt.datetime | None:
    """The end of the period that the change begins, if it begins one: with another interval it does."""
    ends = [
        moment(plain(one.get("period")).get("end"))
        for one in lines
        if (details := plain(plain(one.get("parent")).get("subscription_item_details")))
        and not details.get("proration")
    ]
    return max((end for end in ends if end), default=None)


def _period_end(found: dict[str, Any]) -> dt.datetime | None:
    ends = [moment(plain(one).get("current_period_end")) for one in listed(found.get("items"))]
    return min((end for end in ends if end), default=None)


def _describe(found: dict[str, Any]) -> dict[str, Any]:
    items = [
        f"{whole(one.get('quantity'))} × {identify(one.get('price'))}" for one in map(plain, listed(found.get("items")))
    ]
    return of_subscription(found) | {"items": items}
