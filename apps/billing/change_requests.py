"""How a change at Stripe that staff or a subscriber ask for is carried out: once, on what they saw, and written down.

What payment_changes and plan_changes promise of each change is kept here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import stripe
from django.db import transaction

from apps.accounts.models import UserProfile
from apps.billing import mirror
from apps.billing.parsing import identify, moment, parse_subscription, plain
from apps.billing.stripe_client import SpentIdempotencyKey, calling_stripe
from apps.billing.stripe_refusals import decline_code, describe_refusal
from apps.core import audit
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput, DependencyDown, RetryLater, WorkError
from apps.core.locks import LockClass, hold_if_free

AT_WORK = (
    "Somebody else is changing this customer's payments at this moment. Wait a minute, and look at the page again."
)
KEY = f"key{audit.FINGERPRINT}"
ANOTHERS = "This belongs to another customer."

type Call = Callable[[stripe.StripeClient, Any], Any]
type Check = Callable[[stripe.StripeClient], dict[str, Any]]


@dataclass(frozen=True)
class ChangeRequest:
    """Who asks for a change, of which customer, and why. `key`: made once for each dialog or form."""

    profile: UserProfile
    key: str
    actor: str
    reason: str

    @property
    def idempotency_key(self) -> str:
        """Stripe's key for it: nobody can name another person's."""
        return f"customer:{self.profile.pk}:{self.key}" if self.actor == audit.CUSTOMER else f"staff:{self.key}"

    @property
    def customer(self) -> str:
        if not self.profile.stripe_customer_id:
            raise BadInput("This subscriber has no customer at Stripe.")
        return self.profile.stripe_customer_id


class OutcomeUnknown(WorkError):
    """Stripe was asked, and nobody knows whether it did it. `is_spent`: the idempotency key can never tell."""

    def __init__(self, reason: str, *, is_spent: bool) -> None:
        super().__init__(reason)
        self.is_spent = is_spent


class DoneAlready(Exception):
    """This very request was carried out before: the dialog was sent again."""


def expect_own(asked: ChangeRequest, found: Any) -> dict[str, Any]:
    """What Stripe found, if it is of this customer. Raises BadInput."""
    if identify(plain(found).get("customer")) != asked.customer:
        raise BadInput(ANOTHERS)
    return plain(found)


def check_subscription(
    asked: ChangeRequest,
    subscription_id: str,
    refuse: Callable[[dict[str, Any]], str],
    into: dict[str, Any] | None = None,
) -> Check:
    """A check that the subscription is the customer's and that `refuse` has nothing to say; `into` gets what Stripe found."""

    def check(client: stripe.StripeClient) -> dict[str, Any]:
        found = expect_own(asked, client.v1.subscriptions.retrieve(subscription_id))
        if refusal := refuse(found):
            raise BadInput(refusal, code="changed")
        if into is not None:
            into.update(found)
        return of_subscription(found)

    return check


def update_subscription(
    asked: ChangeRequest, action: AuditAction, subscription_id: str, wish: Any, refuse: Callable[[dict[str, Any]], str]
) -> None:
    """Change one subscription of the customer, unless `refuse` says why not, or raises DoneAlready.

    `wish`: what is to be different, or a function of the subscription that says it.
    """
    found: dict[str, Any] = {}

    def call(client: stripe.StripeClient, options: Any) -> Any:
        return client.v1.subscriptions.update(subscription_id, wish(found) if callable(wish) else wish, options)

    carry_out(
        asked,
        action,
        subscription_id,
        check_subscription(asked, subscription_id, refuse, found),
        call,
        of_subscription,
    )


def of_subscription(found: dict[str, Any]) -> dict[str, Any]:
    """Its status, its end and its pause."""
    facts = parse_subscription(found)
    ends = facts.leaves_at or moment(found.get("ended_at"))
    return {
        "status": facts.stripe_status,
        "ends": ends.isoformat() if ends else None,
        "paused": facts.pause,
        "resumes": facts.pause_ends_at.isoformat() if facts.pause_ends_at else None,
    }


def carry_out(
    asked: ChangeRequest,
    action: AuditAction,
    target: str,
    check: Check,
    call: Call,
    describe: Callable[[dict[str, Any]], dict[str, Any]],
) -> bool:
    """One change, while nobody else changes this customer; False when it was made before.

    Raises BadInput, OutcomeUnknown and the errors of calling_stripe.
    """
    about = {"at_stripe": target}
    with hold_if_free(LockClass.PAYMENTS_OF_CUSTOMER, asked.customer) as held:
        if not held:
            raise BadInput(AT_WORK, code="busy")
        try:
            before = about | ask(check)
        except DoneAlready:
            return False
        except BadInput:
            mirror.mirror_later(asked.customer, reason=f"{asked.actor} saw an older state")
            raise
        _record(
            asked,
            AuditAction.PAYMENT_CHANGE_REQUESTED,
            after=about | {"change": action.label, KEY: asked.key},
        )
        _between_check_and_call()
        try:
            key = _find_fresh_key(asked, action, target)
            made = plain(_ask_once(lambda client: call(client, {"idempotency_key": key})))
        except (BadInput, WorkError) as problem:
            why = problem.message if isinstance(problem, BadInput) else problem.reason
            is_spent = isinstance(problem, BadInput) or getattr(problem, "is_spent", False)
            spent = {KEY: asked.key} if is_spent else {}
            answer = about | {"change": action.label, "answer": why} | spent
            _record_and_fetch(asked, AuditAction.PAYMENT_CHANGE_FAILED, after=answer)
            raise
        _record_and_fetch(asked, action, before=before, after=about | describe(made))
    return True


def _find_fresh_key(asked: ChangeRequest, action: AuditAction, target: str) -> str:
    """The idempotency key of this change: one more for each answer that Stripe keeps for a day and that did nothing.

    A declined payment is such an answer: the same key would be declined with another card as well; so is a failure of Stripe's
    that it has repeated, while the check says that nothing was done. What nobody has answered keeps its key. docs.stripe.com/api/idempotent_requests
    """
    failed = audit.entries_about(asked.profile.subject).filter(action=AuditAction.PAYMENT_CHANGE_FAILED)
    spent = failed.filter(after__contains={KEY: asked.key, "at_stripe": target, "change": action.label}).count()
    key = f"{asked.idempotency_key}:{action}:{target}"
    return f"{key}:{spent + 1}" if spent else key


def _between_check_and_call() -> None:
    """Nothing; where a test of two at once stops the first."""


def ask(call: Callable[[stripe.StripeClient], Any]) -> Any:
    """Stripe's answer. Raises BadInput for what it refuses, and the errors of calling_stripe."""
    with calling_stripe() as client:
        try:
            return call(client)
        except (stripe.CardError, stripe.InvalidRequestError, stripe.RateLimitError) as error:
            if sentence := describe_refusal(error):
                details = {"decline": decline_code(error)} if isinstance(error, stripe.CardError) else {}
                raise BadInput(sentence, code=_code_of(error), details=details) from error
            raise


def _code_of(error: stripe.StripeError) -> str:
    """The code of a refusal; too many requests are like somebody else at work: it is over in a minute."""
    if isinstance(error, stripe.CardError):
        return "declined"
    return "busy" if isinstance(error, stripe.RateLimitError) else "refused"


def _ask_once(call: Callable[[stripe.StripeClient], Any]) -> Any:
    """`ask` for what changes something: without an answer it may have been done, or may be done yet."""
    try:
        return ask(call)
    except (DependencyDown, RetryLater) as error:
        raise OutcomeUnknown(
            f"{error.reason} It is not known whether this was done. The customer is fetched from Stripe again: look at the page in a"
            " minute, and only then try again.",
            is_spent=isinstance(error, SpentIdempotencyKey) and error.before,
        ) from error


@transaction.atomic
def _record_and_fetch(
    asked: ChangeRequest, action: AuditAction, *, after: dict[str, Any], before: dict[str, Any] | None = None
) -> None:
    _record(asked, action, after=after, before=before)
    mirror.mirror_later(asked.customer, reason=f"{action.label.lower()} by {asked.actor}")


def _record(
    asked: ChangeRequest, action: AuditAction, *, after: dict[str, Any], before: dict[str, Any] | None = None
) -> None:
    audit.record(
        subject=asked.profile.subject, action=action, actor=asked.actor, reason=asked.reason, before=before, after=after
    )
