"""What staff may do to a subscriber's money: refund, collect again, cancel, pause. Each dialog shows what would follow, asked of Stripe now.

The actions are a mixin of the subscriber's page. They call Stripe, so none of them runs in a transaction; what may be done to
whom, and that twice is once, is kept by billing.payment_changes.
"""

import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar, override

from django import forms
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.accounts.models import UserProfile
from apps.billing import overview, payment_changes
from apps.billing.change_requests import ChangeRequest
from apps.billing.models import Subscription
from apps.billing.subscriptions import SubscriptionState
from apps.console.admin.subscriber_page import read_states
from apps.console.dialogs import ConfirmedDialog, LastDayField, ReasonDialog, dialog_action
from apps.core import limits
from apps.core.dates import day, last_day
from apps.core.errors import BadInput
from apps.core.money import decimals, format_money
from apps.core.states import SubscriptionStatus

CHANGED = "This has changed since the dialog was opened. Close it and look at the page again."
REASONS = (
    ("requested_by_customer", "The customer asked for it"),
    ("duplicate", "It was paid twice"),
    ("fraudulent", "It was fraud"),
)
BEHAVIORS = (
    ("void", "is free: its invoices are voided"),
    ("keep_as_draft", "is charged later: its invoices wait"),
    ("mark_uncollectible", "is written off"),
)


def _choice(label: str, **rest: Any) -> forms.ChoiceField:
    return forms.ChoiceField(
        label=label, widget=UnfoldAdminSelectWidget(), error_messages={"invalid_choice": CHANGED}, **rest
    )


class PaymentDialog(ReasonDialog):
    """Shows what would follow. `key`: made when it opens, so that what is sent twice is done once."""

    model = UserProfile
    form_before_template = "console/dialogs/payment.html"
    previews: ClassVar[str] = ""  # which of subscriber_payment_previews
    key = forms.RegexField(r"^[0-9a-f]{32}$", widget=forms.HiddenInput)

    @override
    def prepare(self) -> None:
        super().prepare()
        self.fields["key"].initial = uuid.uuid4().hex

    @override
    def context(self) -> dict[str, Any]:
        return {"previews": self.previews}

    @property
    def asked(self) -> ChangeRequest:
        return ChangeRequest(profile=self.target, key=self.cleaned_data["key"], **self.why)

    def offer(self, name: str, choices: list[tuple[str, str]], nothing: str) -> None:
        """Fill a field in; the one that the address names is chosen. The part of a choice behind the colon is what staff see of it."""
        field: Any = self.fields[name]
        field.choices = choices
        wanted = self.request.GET.get(name, "")
        field.initial = next((value for value, _ in choices if value.split(":")[0] == wanted), None)
        if not choices:
            field.help_text = nothing

    def chosen(self, name: str) -> tuple[str, int]:
        """The id of what was chosen, and the number that staff saw with it."""
        identifier, _, seen = str(self.cleaned_data[name]).partition(":")
        return identifier, int(seen or 0)


class RefundDialog(PaymentDialog):
    previews = "refund"
    payment = _choice("Payment")
    amount = forms.DecimalField(
        required=False, max_digits=14, min_value=Decimal("0.001"), help_text="Empty: all that is left of the payment.",
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "inputmode": "decimal"}),
    )  # fmt: skip
    told = forms.ChoiceField(label="What Stripe is told", choices=REASONS, widget=UnfoldAdminSelectWidget())

    @override
    def prepare(self) -> None:
        super().prepare()
        self.payments = {one.id: one for one in overview.list_refundable(self.target.stripe_customer_id or "")}
        named = [
            (
                f"{one.id}:{one.returned}",
                f"{format_money(one.left, one.currency)} of {format_money(one.amount, one.currency)}, {day(one.created)}, {one.card or one.id}",
            )
            for one in self.payments.values()
        ]
        self.offer("payment", named, "Nothing is left of any payment.")

    @override
    def clean(self) -> dict[str, Any]:
        """`refunded`: the amount in minor units."""
        values: dict[str, Any] = super().clean() or self.cleaned_data
        if "payment" not in values or "amount" not in values:
            return values
        payment = self.payments[self.chosen("payment")[0]]
        typed = values["amount"]
        amount = payment.left if typed is None else typed.scaleb(decimals(payment.currency))
        if amount != int(amount):
            self.add_error("amount", f"{payment.currency.upper()} has {decimals(payment.currency)} decimals.")
        elif amount > payment.left:
            self.add_error("amount", f"{format_money(payment.left, payment.currency)} is left of this payment.")
        elif amount > (most := payment_changes.largest_refund(payment.currency)) and not self._may_refund_more():
            words = f"You may refund up to {format_money(most, payment.currency)} at once. Ask an admin to refund more."
            self.add_error("amount", words)
        values["refunded"] = int(amount)
        return values

    def _may_refund_more(self) -> bool:
        return bool(self.request.user.has_perm("accounts.refund_large_payment"))


class RetryDialog(PaymentDialog):
    previews = "retry_payment"
    invoice = _choice("Invoice")

    @override
    def prepare(self) -> None:
        super().prepare()
        named = [
            (
                f"{one.id}:{one.attempts}",
                f"{format_money(one.owed, one.currency)}, {one.number or one.id}, tried {one.attempts} times",
            )
            for one in overview.list_open_invoices(self.target.stripe_customer_id or "")
        ]
        self.offer("invoice", named, "No invoice is open.")


class SubscriptionDialog(PaymentDialog):
    """About one of the subscriptions that run."""

    subscription = _choice("Subscription")

    @classmethod
    def fits(cls, _row: Subscription | SubscriptionState) -> bool:
        """Whether it can be done to this one."""
        return True

    @override
    def prepare(self) -> None:
        super().prepare()
        rows = overview.list_running(self.target.stripe_customer_id or "")
        named = [(row.stripe_id, overview.describe_subscription(row)) for row in rows if self.fits(row)]
        self.offer("subscription", named, "There is no subscription to which this can be done.")

    @property
    def subscription_id(self) -> str:
        return self.chosen("subscription")[0]


class ScheduleDialog(SubscriptionDialog):
    previews = "cancel_at_period_end"

    @override
    @classmethod
    def fits(cls, row: Subscription | SubscriptionState) -> bool:
        return row.cancel_at is None


class UndoDialog(SubscriptionDialog):
    previews = "undo_cancellation"

    @override
    @classmethod
    def fits(cls, row: Subscription | SubscriptionState) -> bool:
        return row.cancel_at is not None


class CancelNowDialog(SubscriptionDialog, ConfirmedDialog):
    previews = "cancel_now"


class PauseDialog(SubscriptionDialog):
    previews = "pause_payments"
    behavior = forms.ChoiceField(label="The time of the pause", choices=BEHAVIORS, widget=UnfoldAdminSelectWidget())
    until = LastDayField(required=False, help_text="The last day of the pause. Empty: until somebody resumes it.")

    @override
    @classmethod
    def fits(cls, row: Subscription | SubscriptionState) -> bool:
        return not row.pause


class ResumeDialog(SubscriptionDialog):
    previews = "resume_payments"

    @override
    @classmethod
    def fits(cls, row: Subscription | SubscriptionState) -> bool:
        return bool(row.pause)


def refuse_refund(profile: UserProfile) -> str:
    paid = any(one.paid_for_period is not None for one in read_states(profile))
    return "" if paid else "Nothing has been paid."


def refuse_retry(profile: UserProfile) -> str:
    """Also an invoice that is for no subscription may be open, of which our rows do not know: the dialog offers what is."""
    return "" if profile.stripe_customer_id else "This subscriber has no customer at Stripe."


def refuse_unless(dialog: type[SubscriptionDialog]) -> Callable[[UserProfile], str]:
    """Refuses who has no subscription to which the dialog could do anything."""

    def refuse(profile: UserProfile) -> str:
        running = [one for one in read_states(profile) if SubscriptionStatus(one.status).may_charge]
        return "" if any(dialog.fits(one) for one in running) else "There is no subscription to which this can be done."

    return refuse


class PaymentActions:
    """The seven actions, for the subscriber's ModelAdmin."""

    @dialog_action(
        title="Refund", permission="refund_payment", form=RefundDialog, icon="undo", danger=True, calls=True, refuse=refuse_refund,
        explain="Give a payment back, all of it or a part. It cannot be undone.",
    )  # fmt: skip
    def refund(self, _request: HttpRequest, form: RefundDialog) -> str:
        charge_id, seen = form.chosen("payment")
        amount, currency = form.cleaned_data["refunded"], form.payments[charge_id].currency
        if not limits.allow(staff_refunds=form.actor):
            raise BadInput("You have made as many refunds as one may in this time. Nothing has been given back.")
        told = form.cleaned_data["told"]
        if not payment_changes.refund(form.asked, charge_id=charge_id, amount=amount, seen=seen, why=told):
            return "The dialog was sent twice, and the refund was made once."
        return f"{format_money(amount, currency)} goes back to {form.target}. It is on the page in a moment."

    @dialog_action(
        title="Collect payment", permission="retry_payment", form=RetryDialog, icon="credit_card", fresh=False, calls=True,
        refuse=refuse_retry, explain="Try now to collect an open invoice, from the card that is saved.",
    )  # fmt: skip
    def retry_payment(self, _request: HttpRequest, form: RetryDialog) -> str:
        invoice_id, seen = form.chosen("invoice")
        payment_changes.retry_payment(form.asked, invoice_id=invoice_id, seen=seen)
        return f"The payment of {form.target} is being taken. Access follows once it has arrived."

    @dialog_action(
        title="Cancel at period end", permission="schedule_cancellation", form=ScheduleDialog, icon="event_busy", fresh=False,
        calls=True, refuse=refuse_unless(ScheduleDialog), explain="What is paid for can be used until its end. You can undo it until then.",
    )  # fmt: skip
    def cancel_at_period_end(self, _request: HttpRequest, form: ScheduleDialog) -> str:
        payment_changes.cancel_at_period_end(form.asked, subscription_id=form.subscription_id)
        return f"The subscription of {form.target} ends with its period."

    @dialog_action(
        title="Undo cancellation", permission="schedule_cancellation", form=UndoDialog, icon="event_repeat", fresh=False,
        calls=True, refuse=refuse_unless(UndoDialog), explain="Let the subscription go on; it renews and is charged as before.",
    )  # fmt: skip
    def undo_cancellation(self, _request: HttpRequest, form: UndoDialog) -> str:
        payment_changes.undo_cancellation(form.asked, subscription_id=form.subscription_id)
        return f"The subscription of {form.target} goes on."

    @dialog_action(
        title="Cancel now", permission="cancel_subscription", form=CancelNowDialog, icon="cancel", danger=True, calls=True,
        refuse=refuse_unless(CancelNowDialog),
        explain="End the subscription at once. Nothing is given back by this; refund the payment first if it should be. It cannot be undone.",
    )  # fmt: skip
    def cancel_now(self, _request: HttpRequest, form: CancelNowDialog) -> str:
        payment_changes.cancel_now(form.asked, subscription_id=form.subscription_id)
        return f"The subscription of {form.target} has ended. Access follows in a moment."

    @dialog_action(
        title="Pause payments", permission="pause_collection", form=PauseDialog, icon="pause", calls=True,
        refuse=refuse_unless(PauseDialog), explain="Collect nothing for a while; the subscription runs on.",
    )  # fmt: skip
    def pause_payments(self, _request: HttpRequest, form: PauseDialog) -> str:
        until = form.cleaned_data["until"]
        payment_changes.pause_collection(
            form.asked, subscription_id=form.subscription_id, until=until, behavior=form.cleaned_data["behavior"]
        )
        return f"Nothing is collected from {form.target}{f' to the end of {last_day(until)}' if until else ' until it is resumed'}."

    @dialog_action(
        title="Resume payments", permission="pause_collection", form=ResumeDialog, icon="play_arrow", calls=True,
        refuse=refuse_unless(ResumeDialog), explain="Collect payments again from the next invoice on.",
    )  # fmt: skip
    def resume_payments(self, _request: HttpRequest, form: ResumeDialog) -> str:
        payment_changes.resume_collection(form.asked, subscription_id=form.subscription_id)
        return f"Payments of {form.target} are collected again."
