"""What signing up stores: one-time codes and the waitlist. The signup itself is accounts.Signup."""

import uuid
from typing import Any, ClassVar, override

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Lower

from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.core import languages
from apps.core.choices import ToneChoices
from apps.core.states import Tone


class OneTimeCode(models.Model):
    """A code emailed to confirm an address. Stored as a slow keyed hash; bound to a purpose, an address and a session."""

    class Purpose(models.TextChoices):
        """What the address is confirmed for."""

        SIGNUP = "signup", "Signup"
        RECOVERY = "recovery", "Recovery"
        ADDRESS = "address", "Change of address"
        CONTRACT = "contract", "Cancellation or withdrawal"

    purpose = models.CharField(max_length=10, choices=Purpose)
    subject = models.CharField(max_length=64, help_text="Keyed hash of the address.")
    session = models.CharField(max_length=64, help_text="Keyed hash of the browser session.")
    code_hash = models.CharField(
        max_length=200, blank=True, help_text="Empty: a code that was not sent and never matches."
    )
    tries = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                fields=["purpose", "subject", "session"],
                condition=Q(used_at__isnull=True),
                name="code_one_live_per_purpose",
            ),
            models.CheckConstraint(condition=Q(tries__lte=5), name="code_tries_bounded"),
        ]
        indexes: ClassVar[list[Any]] = [models.Index(fields=["expires_at"], name="code_expires")]

    @override
    def __str__(self) -> str:
        return f"{self.purpose} code"


class AddressChange(models.Model):
    """A subscriber has changed their email address, and who reads the former one may object. Only own_address.py writes it."""

    profile = models.ForeignKey(UserProfile, on_delete=models.CASCADE, related_name="address_changes")
    former = models.EmailField(help_text="The address before.")
    changed_at = models.DateTimeField()
    objected_at = models.DateTimeField(null=True, blank=True, help_text="When it was undone, or a change before it.")

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.CheckConstraint(
                condition=Q(objected_at__isnull=True) | Q(objected_at__gte=F("changed_at")),
                name="address_objected_after_change",
            )
        ]

    @override
    def __str__(self) -> str:
        return f"change of address {self.pk}"


class WaitlistEntry(models.Model):
    """One address waiting for one product, or for any when `product` is empty."""

    class State(ToneChoices):
        """How far the entry has come."""

        WAITING = "waiting", Tone.BUSY, "Waiting"
        INVITED = "invited", Tone.GOOD, "Invited"
        SERVED = "served", Tone.GOOD, "Signed up"
        LEFT = "left", Tone.CALM, "Left"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField()
    product = models.ForeignKey(Product, null=True, blank=True, on_delete=models.CASCADE, related_name="waitlist")
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    language = models.CharField(
        max_length=2, choices=list(languages.NAMES.items()), default=languages.DEFAULT, db_default=languages.DEFAULT
    )
    created_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True, blank=True)
    invited_at = models.DateTimeField(null=True, blank=True)
    invited_until = models.DateTimeField(null=True, blank=True, help_text="Until then the seat is reserved.")
    profile = models.ForeignKey(
        UserProfile,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="The subscriber the seat is reserved for.",
    )

    class Meta:
        verbose_name_plural = "waitlist entries"
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                Lower("email"),
                "product",
                name="waitlist_one_per_email_and_product",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                condition=~Q(state="invited") | (Q(confirmed_at__isnull=False) & Q(invited_until__isnull=False)),
                name="waitlist_invited_is_confirmed_and_ends",
            ),
        ]
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["product", "state", "created_at"], name="waitlist_order"),
            models.Index(fields=["created_at", "id"], name="waitlist_joined"),
            models.Index(
                fields=["created_at", "id"],
                condition=Q(state="waiting", confirmed_at__isnull=False),
                name="waitlist_in_line",
            ),
            models.Index(
                Coalesce("product_id", 0), "created_at", "id", condition=Q(state="waiting", confirmed_at__isnull=False),
                name="waitlist_line",
            ),
        ]  # fmt: skip

    @override
    def __str__(self) -> str:
        return f"waitlist entry {self.id}"
