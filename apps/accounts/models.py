"""People: UserProfile, the key of everything, and Signup, one run through the wizard."""

import uuid
from typing import Any, ClassVar, override

from django.contrib.auth.models import User
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Upper

from apps.accounts.membership_models import Membership as Membership
from apps.accounts.privacy_models import LegalHold as LegalHold  # a file of their own: this one is long
from apps.accounts.privacy_models import PrivacyRequest as PrivacyRequest
from apps.core import languages
from apps.core.choices import ToneChoices
from apps.core.masking import Masked
from apps.core.reason_sentences import reason_sentence
from apps.core.reasons import Reason
from apps.core.states import AccessState, SubscriptionStatus, Tone, values_where

ACCESS_STATES = [(one.value, one.label) for one in AccessState]
SUBSCRIPTION_STATUSES = [(one.value, one.label) for one in SubscriptionStatus]


# Has paid, has no access, and a sync is to give it.
WAITS_FOR_ACCESS = Q(
    pending_since__isnull=False,
    subscription_status__in=values_where(SubscriptionStatus, lambda one: one.gives_access),
    access_state__in=values_where(AccessState, lambda one: not one.has_access and one != AccessState.ON_HOLD),
)


class UserProfile(models.Model):
    """A subscriber: a Django user plus Keycloak id, Stripe customer, subscription status and access state.

    `subscription_*` is written by billing.mirror, `access_*`, the forecast and the generations by access.reconcile, nobody else.
    """

    class EmailProblem(ToneChoices):
        """Why emails do not arrive; written by notifications/delivery.py. Empty: they do, or nothing is known."""

        BOUNCED = "bounced", Tone.BAD, "Emails bounce"
        FAILED = "failed", Tone.BAD, "Mailgun refuses emails to it"
        COMPLAINED = "complained", Tone.BAD, "Emails are marked as spam"

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="profile")
    onboarding_id = models.UUIDField(
        default=uuid.uuid4, unique=True, editable=False, help_text="Kept at the Keycloak user; proves that it is ours."
    )
    email = models.EmailField(help_text="Where mail goes; proven by a code at signup.")
    language = models.CharField(
        max_length=2, choices=list(languages.NAMES.items()), default=languages.DEFAULT, db_default=languages.DEFAULT
    )
    email_problem = models.CharField(max_length=10, choices=EmailProblem, blank=True, default="", db_default="")
    email_problem_at = models.DateTimeField(null=True, blank=True)
    keycloak_id = models.CharField(max_length=36, null=True, blank=True, unique=True)
    proven_keycloak_id = models.CharField(
        max_length=36,
        blank=True,
        default="",
        db_default="",
        help_text="The Keycloak account that they have proven by a login to be theirs; it is linked once access is due.",
    )
    stripe_customer_id = models.CharField(max_length=255, null=True, blank=True, unique=True)
    stripe_subscription_id = models.CharField(max_length=255, null=True, blank=True, unique=True)
    subscription_status = models.CharField(max_length=20, choices=SUBSCRIPTION_STATUSES, blank=True)
    monthly_amount = models.BigIntegerField(
        null=True,
        default=0,
        db_default=0,
        help_text="What they pay in a month, before discounts and tax; empty: unknown.",
    )
    monthly_currency = models.CharField(max_length=16, blank=True, default="", db_default="")
    subscription_synced_at = models.DateTimeField(null=True, blank=True)
    access_state = models.CharField(max_length=12, choices=ACCESS_STATES, default=AccessState.NONE.value)
    access_reason = models.JSONField(default=dict, blank=True, help_text="Why: a code with its dates, core/reasons.py.")
    access_until = models.DateTimeField(null=True, blank=True, help_text="When the state changes automatically.")
    recovering_until = models.DateTimeField(
        null=True, blank=True, help_text="A recovery code was verified; open until."
    )
    final_expiry_at = models.DateTimeField(
        null=True, blank=True, help_text="Seat and entitlements are removed for good."
    )
    forecast = models.JSONField(
        default=list, blank=True, help_text="What happens next, soonest first: access/forecast.py."
    )
    next_change_at = models.DateTimeField(null=True, blank=True, help_text="The first date of the forecast.")
    desired_generation = models.PositiveIntegerField(default=0, help_text="Counts the requested reconciles.")
    observed_generation = models.PositiveIntegerField(default=0, help_text="The last reconcile that finished.")
    pending_since = models.DateTimeField(
        null=True, blank=True, help_text="When the oldest unfinished request was made."
    )
    synced_at = models.DateTimeField(null=True, blank=True)
    membership = models.ForeignKey(
        Membership,
        null=True,
        blank=True,
        db_index=False,  # it has an index of its own, without the many who have none
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="By which somebody else pays for them, or did last.",
    )
    imported_at = models.DateTimeField(
        null=True, blank=True, help_text="Was a customer before; of what had happened by then no email tells."
    )
    language_told_at = models.DateTimeField(
        null=True, blank=True, help_text="When Keycloak and Stripe were last told the language; empty: never."
    )
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = "subscriber"
        # What staff may do to subscribers; roles.py says who may.
        permissions: ClassVar[list[Any]] = [
            ("see_personal_data", "Can see names, addresses and other personal data"),
            ("sync_userprofile", "Can sync a subscriber now"),
            ("mail_userprofile", "Can send a subscriber a password mail"),
            ("allocate_seat", "Can assign, move and release seats"),
            ("override_access", "Can hold, grant and protect access"),
            ("export_userprofile", "Can export the list of subscribers"),
            ("import_customers", "Can import existing customers, and undo it"),
            ("recover_accounts", "Can send recovery codes, open recovery and keep seats"),
            ("extend_grace", "Can extend the grace period of a late payment, within limits"),
            ("write_note", "Can write notes about subscribers"),
            ("retry_job", "Can retry jobs"),
            ("retry_payment", "Can collect an open payment again"),
            ("schedule_cancellation", "Can cancel at the period's end, and undo it"),
            ("refund_payment", "Can refund payments"),
            ("refund_large_payment", "Can refund more than the limit at once"),
            ("cancel_subscription", "Can cancel subscriptions at once"),
            ("pause_collection", "Can pause and resume payments"),
            ("change_catalog", "Can change what is sold"),
            ("change_capacity", "Can change instances and their caps"),
            ("change_terms", "Can change the terms: grace, recovery window, final expiry"),
            ("approve_revocations", "Can approve what the safeguard stopped"),
            ("freeze_access", "Can begin, prolong and end incident mode"),
            ("record_privacy_request", "Can record and close privacy requests"),
            ("export_person", "Can export the personal data of one subscriber"),
            ("erase_person", "Can erase the personal data of one subscriber"),
            ("set_legal_hold", "Can set and end legal holds"),
            ("manage_api_keys", "Can make and revoke API keys"),
        ]
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(Lower("email"), name="profile_one_per_email"),
            models.UniqueConstraint(
                fields=["proven_keycloak_id"],
                condition=~Q(proven_keycloak_id=""),
                name="profile_one_per_proven_account",
            ),
            models.CheckConstraint(condition=~Q(keycloak_id=""), name="profile_keycloak_id_null_or_known"),
            models.CheckConstraint(condition=~Q(stripe_customer_id=""), name="profile_customer_null_or_known"),
            models.CheckConstraint(
                condition=Q(email_problem="", email_problem_at__isnull=True)
                | ~Q(email_problem="") & Q(email_problem_at__isnull=False),
                name="profile_email_problem_has_time",
            ),
            models.CheckConstraint(
                condition=Q(access_state__in=[state.value for state in AccessState]), name="profile_access_state_known"
            ),
        ]
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["access_state", "-id"], name="profile_access_state"),
            models.Index(fields=["subscription_status", "-id"], name="profile_subscription"),
            models.Index(Upper("email"), name="profile_email_upper"),
            models.Index(Upper("stripe_customer_id"), name="profile_customer_upper"),
            models.Index(Upper("stripe_subscription_id"), name="profile_subscription_upper"),
            models.Index(fields=["pending_since"], condition=Q(pending_since__isnull=False), name="profile_pending"),
            models.Index(fields=["access_until"], condition=Q(access_until__isnull=False), name="profile_access_until"),
            models.Index(fields=["access_state", "final_expiry_at", "-id"], name="profile_leaving"),
            models.Index(fields=["next_change_at", "-id"], name="profile_next_change"),
            models.Index(fields=["monthly_amount", "-id"], name="profile_monthly"),
            models.Index(fields=["created_at"], name="profile_joined"),
            models.Index(fields=["pending_since"], condition=WAITS_FOR_ACCESS, name="profile_waits_for_access"),
            models.Index(fields=["id"], condition=~Q(email_problem=""), name="profile_unreachable"),
            models.Index(
                fields=["final_expiry_at"],
                condition=Q(final_expiry_at__isnull=False) & ~Q(access_state=AccessState.EXPIRED.value),
                name="profile_final_expiry",
            ),
            models.Index(fields=["membership"], condition=Q(membership__isnull=False), name="profile_membership"),
            models.Index(
                fields=["id"],
                condition=Q(language_told_at=None, keycloak_id__isnull=False),
                name="profile_language_untold",
            ),
        ]

    @override
    def __str__(self) -> str:
        """Masked names are alike, so the number is beside them."""
        name = self.user.username
        return f"{name} #{self.pk}" if isinstance(name, Masked) else name

    @classmethod
    def customers(cls) -> models.QuerySet["UserProfile"]:
        """Those who have an account or have paid for one, or for whom somebody did: nobody can sign up with their address again."""
        pays = values_where(SubscriptionStatus, lambda one: one.pays)
        return cls.objects.filter(
            Q(keycloak_id__isnull=False) | Q(subscription_status__in=pays) | Q(membership__isnull=False)
        )

    @property
    def is_customer(self) -> bool:
        """The same of one: a first payment that is incomplete, failed or was canceled is nobody's account."""
        has_account = self.keycloak_id is not None or self.membership_id is not None
        return has_account or SubscriptionStatus(self.subscription_status).pays

    @property
    def access_sentence(self) -> str:
        """Why access is as it is, in the subscriber's words; empty before the first sync."""
        reason = Reason.from_json(self.access_reason)
        return reason_sentence(reason) if reason else ""

    @property
    def is_paid_for(self) -> bool:
        """Whether why access is as it is has to do with another one's money, as last decided."""
        reason = Reason.from_json(self.access_reason)
        return reason is not None and reason.is_shared

    @property
    def has_running_subscription(self) -> bool:
        """Whether one of their own runs, or may."""
        return bool(self.subscription_status) and SubscriptionStatus(self.subscription_status).may_charge

    @property
    def subject(self) -> tuple[str, int]:
        """How the audit trail names this person."""
        return "profile", self.pk


class ErasureAttempt(models.Model):
    """When forgetting a person was last tried, after their retention, and why it was refused. Written by erasure_attempts.py."""

    profile = models.OneToOneField(
        UserProfile, primary_key=True, on_delete=models.CASCADE, related_name="erasure_attempt"
    )
    tried_at = models.DateTimeField()
    refused_at = models.DateTimeField(null=True, blank=True)
    refusal = models.CharField(max_length=300, blank=True, help_text="Why they are kept, without names.")

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.CheckConstraint(
                condition=Q(refused_at__isnull=True, refusal="") | (Q(refused_at__isnull=False) & ~Q(refusal="")),
                name="erasure_refused_for_a_reason",
            )
        ]

    @override
    def __str__(self) -> str:
        return f"erasure of {self.profile_id}"


class Signup(models.Model):
    """One run through the wizard. From `checkout` on it reserves a username; its seats are held as long as it is live."""

    class State(ToneChoices):
        """`open` gathers answers; `checkout` has a Stripe Checkout session; the others are final."""

        OPEN = "open", Tone.BUSY, "In progress"
        CHECKOUT = "checkout", Tone.BUSY, "At checkout"
        PAID = "paid", Tone.GOOD, "Paid"
        EXPIRED = "expired", Tone.CALM, "Abandoned"
        FAILED = "failed", Tone.CALM, "Payment failed"

    LIVE = (State.CHECKOUT,)
    UNFINISHED = (State.OPEN, State.CHECKOUT)
    UNPAID = (State.EXPIRED, State.FAILED)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    first_name = models.CharField(max_length=120, blank=True)
    last_name = models.CharField(max_length=120, blank=True)
    username = models.CharField(max_length=150, blank=True)
    email = models.EmailField(blank=True)
    email_proven_at = models.DateTimeField(null=True, blank=True)
    keycloak_id = models.CharField(
        max_length=36,
        blank=True,
        default="",
        db_default="",
        help_text="The Keycloak account with which they sign up, proven by a login when the address was.",
    )
    interval = models.CharField(max_length=5, choices=[("month", "Monthly"), ("year", "Yearly")], default="month")
    basket = models.JSONField(default=dict, blank=True, help_text="Product slug to quantity, the plan included.")
    terms_version = models.CharField(max_length=32, blank=True)
    terms_accepted_at = models.DateTimeField(null=True, blank=True)
    asked_to_begin_at = models.DateTimeField(
        null=True, blank=True, help_text="Asked us to begin before the days to withdraw are over."
    )
    profile = models.ForeignKey(UserProfile, null=True, blank=True, on_delete=models.SET_NULL, related_name="signups")
    checkout_session_id = models.CharField(max_length=100, null=True, blank=True, unique=True)
    checkout_number = models.PositiveSmallIntegerField(default=0, help_text="How many sessions it has opened.")
    checkout_digest = models.CharField(max_length=64, blank=True, help_text="What the open session sells, to whom.")
    checkout_expires_at = models.DateTimeField(null=True, blank=True)
    network = models.CharField(
        max_length=64, blank=True, help_text="Keyed hash of the network that opened the payment."
    )
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                Lower("username"), condition=Q(state="checkout"), name="signup_one_live_per_username"
            ),
            models.UniqueConstraint(Lower("email"), condition=Q(state="checkout"), name="signup_one_live_per_email"),
            models.CheckConstraint(
                condition=~Q(state="checkout") | (Q(email_proven_at__isnull=False) & ~Q(username="") & ~Q(email="")),
                name="signup_proven_before_checkout",
            ),
        ]
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["state", "created_at"], name="signup_state"),
            models.Index(fields=["-created_at", "-id"], name="signup_newest"),
            models.Index(fields=["checkout_expires_at"], name="signup_checkout_ends"),
        ]

    @override
    def __str__(self) -> str:
        return f"signup {self.id}"


class StaffNote(models.Model):
    """What somebody of staff wants the next to know about a subscriber. Rows are only added, by accounts/notes.py, and go with an erasure."""

    LONGEST = 2_000

    profile = models.ForeignKey(UserProfile, on_delete=models.CASCADE, related_name="notes")
    text = models.TextField(max_length=LONGEST)
    written_by = models.CharField(max_length=200, help_text="Who wrote it.")
    written_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[Any]] = [models.CheckConstraint(condition=~Q(text=""), name="note_says_something")]

    @override
    def __str__(self) -> str:
        return f"Note of {self.written_at:%-d %B %Y} by {self.written_by}"
