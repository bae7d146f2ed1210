"""Our own copy of Stripe, besides dj-stripe's mirror: the event inbox, and typed rows of subscriptions and their lines."""

from typing import Any, ClassVar, override

from django.db import models
from django.db.models import F, Q

from apps.accounts.models import SUBSCRIPTION_STATUSES, UserProfile
from apps.catalog.models import Product
from apps.core.choices import ToneChoices
from apps.core.states import Tone


class InboundEvent(models.Model):
    """One Stripe event in the inbox. The body is kept unchanged, and its data is never applied."""

    class State(ToneChoices):
        """`received` waits for its job; `handled` is done; `ignored` needs none, or staff said so; `not_ours`: of nobody here."""

        RECEIVED = "received", Tone.BUSY, "Waiting"
        HANDLED = "handled", Tone.GOOD, "Handled"
        IGNORED = "ignored", Tone.CALM, "Ignored"
        NOT_OURS = "not_ours", Tone.CALM, "Not ours"

    stripe_event_id = models.CharField(max_length=255, unique=True)
    type = models.CharField(max_length=80)
    object_id = models.CharField(max_length=255, blank=True)
    customer_id = models.CharField(max_length=255, blank=True)
    api_version = models.CharField(max_length=40, blank=True)
    livemode = models.BooleanField(default=False)
    stripe_created_at = models.DateTimeField()
    received_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State, default=State.RECEIVED)
    handled_at = models.DateTimeField(null=True, blank=True)
    source = models.CharField(
        max_length=10, choices=[("webhook", "Webhook"), ("backfill", "Backfill")], default="webhook"
    )
    body = models.TextField()

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.CheckConstraint(
                condition=Q(state="received", handled_at__isnull=True)
                | Q(~Q(state="received"), handled_at__isnull=False),
                name="event_handled_has_time",
            )
        ]
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["state", "-id"], name="event_state"),
            models.Index(fields=["customer_id", "-id"], name="event_customer"),
            models.Index(fields=["type", "-id"], name="event_type"),
            models.Index(fields=["object_id", "-id"], name="event_object"),
            models.Index(fields=["source", "-id"], name="event_source"),
            models.Index(fields=["received_at"], name="event_received"),
            # For the nightly pruning; neither has rows that wait, so the webhook writes to neither.
            models.Index(fields=["handled_at"], condition=Q(handled_at__isnull=False), name="event_handled"),
            models.Index(
                fields=["handled_at"], condition=Q(handled_at__isnull=False) & ~Q(body=""), name="event_with_body"
            ),
        ]

    @override
    def __str__(self) -> str:
        return f"{self.type} {self.stripe_event_id}"


class Subscription(models.Model):
    """The typed copy of one Stripe subscription, as last fetched: the facts the policy reads."""

    class MoneyReturned(models.TextChoices):
        """Whether what was paid went back: all of the current period, or by a lost dispute; empty: no."""

        NO = "", "No"
        REFUNDED = "refunded", "Fully refunded"
        DISPUTE_LOST = "dispute_lost", "Dispute lost"

    stripe_id = models.CharField(max_length=255, unique=True)
    customer_id = models.CharField(max_length=255, db_index=True)
    status = models.CharField(max_length=20, choices=SUBSCRIPTION_STATUSES)
    stripe_created_at = models.DateTimeField()
    current_period_end = models.DateTimeField(null=True, blank=True)
    trial_end = models.DateTimeField(null=True, blank=True)
    after_trial = models.CharField(
        max_length=20,
        blank=True,
        default="",
        db_default="",
        help_text="What Stripe does at the trial's end while there is no card: cancel or pause; empty: it charges.",
    )
    cancel_at = models.DateTimeField(null=True, blank=True, help_text="From cancel_at or cancel_at_period_end.")
    ended_at = models.DateTimeField(null=True, blank=True)
    past_due_since = models.DateTimeField(
        null=True, blank=True, help_text="When the unpaid invoice was known to be late."
    )
    is_payment_pending = models.BooleanField(default=False, help_text="Nothing is late: a bank debit is on its way.")
    paid_for_period = models.BigIntegerField(null=True, help_text="Minor units; empty: not fetched yet.")
    left_of_period = models.BigIntegerField(null=True, help_text="Of it, after refunds and lost disputes.")
    money_returned = models.CharField(max_length=12, choices=MoneyReturned, blank=True)
    disputes = models.JSONField(
        default=list,
        blank=True,
        help_text="Open, or lost and not paid again: id, status, amount, currency, at.",
    )
    refunds = models.JSONField(default=dict, blank=True, help_text="Refund id to its status.")
    pause = models.CharField(
        max_length=40, blank=True, help_text="What Stripe does with invoices while collection is paused."
    )
    pause_ends_at = models.DateTimeField(null=True, blank=True)
    open_invoice_id = models.CharField(max_length=255, blank=True)
    open_invoice_url = models.TextField(blank=True)
    next_attempt_at = models.DateTimeField(null=True, blank=True, help_text="When Stripe tries again to collect it.")
    attempts_made = models.PositiveBigIntegerField(default=0, help_text="How often Stripe has tried to collect it.")
    payment_due_at = models.DateTimeField(
        null=True, blank=True, help_text="Until when an invoice sent by email is to be paid."
    )
    next_charge = models.BigIntegerField(
        null=True, help_text="What Stripe says the next invoice asks for, in minor units; empty when it does not."
    )
    next_charge_currency = models.CharField(max_length=16, blank=True)
    next_charge_tax = models.BigIntegerField(null=True, help_text="How much of it is tax; empty when none is in it.")
    monthly_amount = models.BigIntegerField(
        null=True, help_text="What its lines cost in a month, before discounts and tax; empty when that depends on use."
    )
    currency = models.CharField(max_length=16, blank=True, default="", db_default="")
    lines_digest = models.CharField(
        max_length=16, blank=True, default="", db_default="", help_text="Of what it is for: another one, another plan."
    )
    cancellation_reason = models.CharField(
        max_length=40, blank=True, default="", db_default="", help_text="Why it ends or ended: Stripe's word, or staff."
    )
    cancellation_feedback = models.CharField(
        max_length=40, blank=True, default="", db_default="", help_text="What the subscriber said was the reason."
    )
    fetched_at = models.DateTimeField()

    class Meta:
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["status", "fetched_at"], name="subscription_status"),
            models.Index(fields=["stripe_created_at"], name="subscription_made"),
            # For staff, who look for those few; most rows are in neither.
            models.Index(fields=["customer_id"], condition=~Q(disputes=[]), name="subscription_disputed"),
            models.Index(
                fields=["customer_id"],
                condition=Q(left_of_period__lt=F("paid_for_period")),
                name="subscription_returned",
            ),
            # Few at any time, or those of a month: for the console's views, which are counted often.
            models.Index(
                fields=["ended_at"],
                condition=Q(ended_at__isnull=False, status="canceled"),
                name="subscription_canceled",
            ),
            models.Index(
                fields=["cancel_at"],
                condition=Q(cancel_at__isnull=False, ended_at__isnull=True),
                name="subscription_leaving",
            ),
            models.Index(fields=["trial_end"], condition=Q(trial_end__isnull=False), name="subscription_trial"),
            models.Index(fields=["current_period_end"], condition=Q(ended_at__isnull=True), name="subscription_period"),
        ]

    @override
    def __str__(self) -> str:
        return self.stripe_id


class UserSubscriptionItem(models.Model):
    """Typed local copy of one Stripe subscription line: the only thing a page reads of what a person pays for."""

    profile = models.ForeignKey(UserProfile, on_delete=models.CASCADE, related_name="items")
    subscription = models.ForeignKey(Subscription, on_delete=models.CASCADE, related_name="items")
    stripe_item_id = models.CharField(max_length=255, unique=True)
    stripe_price_id = models.CharField(max_length=255)
    product = models.ForeignKey(Product, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    quantity = models.PositiveBigIntegerField(default=1)
    unit_amount = models.BigIntegerField(null=True, help_text="Minor units; empty when one has no fixed whole amount.")
    currency = models.CharField(max_length=16, help_text="The subscription's.")
    interval = models.CharField(max_length=20)
    interval_count = models.PositiveBigIntegerField(default=1, help_text="3 with month: charged every three months.")
    current_period_end = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["pk"]  # without it Postgres lists a line that was written again last
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["stripe_price_id"], name="item_price"),
            models.Index(fields=["interval", "profile"], name="item_interval"),
        ]

    @override
    def __str__(self) -> str:
        return f"{self.quantity} × {self.stripe_price_id}"


class Coupon(models.Model):
    """A coupon of Stripe's that somebody used, with its terms as last fetched. One that is deleted there stays."""

    stripe_id = models.CharField(max_length=255, unique=True)
    name = models.CharField(max_length=255, blank=True)
    percent_off = models.DecimalField(max_digits=7, decimal_places=4, null=True, blank=True)
    amount_off = models.BigIntegerField(null=True, blank=True, help_text="Minor units.")
    currency = models.CharField(max_length=16, blank=True)
    duration = models.CharField(max_length=20, blank=True, help_text="once, repeating or forever; empty: not known.")
    months = models.PositiveBigIntegerField(null=True, blank=True, help_text="Of one that is repeating.")
    is_deleted = models.BooleanField(default=False, help_text="At Stripe: nobody new can use it.")
    fetched_at = models.DateTimeField()

    @override
    def __str__(self) -> str:
        return self.name or self.stripe_id


class Discount(models.Model):
    """One use of a coupon by one subscriber. Written only by coupons.py."""

    stripe_id = models.CharField(max_length=255, unique=True)
    coupon = models.ForeignKey(
        Coupon, null=True, blank=True, on_delete=models.PROTECT, related_name="discounts", db_index=False,
        help_text="Empty: Stripe does not say which.",
    )  # fmt: skip
    profile = models.ForeignKey(UserProfile, on_delete=models.CASCADE, related_name="discounts")
    subscription_id = models.CharField(max_length=255, blank=True, help_text="Empty: of everything they pay.")
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Empty: it has no end, or is used once.")
    ended_at = models.DateTimeField(null=True, blank=True, help_text="When it was found to be used up or taken away.")

    class Meta:
        indexes: ClassVar[list[Any]] = [
            models.Index(
                fields=["coupon", "profile", "ends_at"], condition=Q(ended_at__isnull=True), name="discount_in_use"
            ),
            models.Index(fields=["coupon", "ends_at"], condition=Q(ended_at__isnull=True), name="discount_last_end"),
        ]

    @override
    def __str__(self) -> str:
        return f"{self.coupon_id} of {self.profile_id}"
