"""Several people under one subscription: who pays for whom."""

from typing import Any, ClassVar, override

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower

from apps.core.choices import ToneChoices
from apps.core.states import Tone


class Membership(models.Model):
    """Somebody for whom a subscriber pays: invited, then a member, then ended.

    Written by access/memberships.py and onboarding/people.py. `products`: what was shared with the member when it began, and
    again when it ended. `paid_until`: when it stopped to give anything; earlier than its end where the payer's subscription ended first.
    """

    class End(ToneChoices):
        """How it ended."""

        WITHDRAWN = "withdrawn", Tone.CALM, "Invitation withdrawn"
        EXPIRED = "expired", Tone.CALM, "Invitation expired"
        REMOVED = "removed", Tone.CALM, "Removed by who pays"
        LEFT = "left", Tone.CALM, "Left"
        REDUCED = "reduced", Tone.WARN, "The plan is for fewer people"
        STAFF = "staff", Tone.CALM, "Ended by staff"
        ERASED = "erased", Tone.CALM, "Personal data erased"

    payer = models.ForeignKey("accounts.UserProfile", on_delete=models.CASCADE, related_name="people")
    member = models.ForeignKey(
        "accounts.UserProfile", null=True, blank=True, on_delete=models.CASCADE, related_name="memberships"
    )
    email = models.EmailField(blank=True, help_text="The address that was invited; empty once it was erased.")
    invited_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    terms_version = models.CharField(max_length=32, blank=True, help_text="The terms that the member accepted.")
    ended_at = models.DateTimeField(null=True, blank=True)
    end = models.CharField(max_length=10, choices=End, blank=True)
    paid_until = models.DateTimeField(null=True, blank=True)
    products = models.JSONField(default=list, blank=True, help_text="Ids of the products that are shared.")

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                fields=["member"],
                condition=Q(ended_at=None, member__isnull=False),
                name="membership_one_open_per_member",
            ),
            models.UniqueConstraint(
                "payer", Lower("email"), condition=Q(ended_at=None), name="membership_one_open_per_address"
            ),
            models.CheckConstraint(
                condition=Q(member=None, accepted_at=None)
                | Q(member__isnull=False, accepted_at__isnull=False, accepted_at__gte=F("invited_at")),
                name="membership_accepted_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(ended_at=None, end="", paid_until=None)
                | Q(ended_at__isnull=False, accepted_at=None, paid_until=None) & ~Q(end="")
                | Q(ended_at__isnull=False, accepted_at__isnull=False, paid_until__isnull=False) & ~Q(end=""),
                name="membership_ended_for_a_reason",
            ),
            models.CheckConstraint(condition=~Q(payer=F("member")), name="membership_of_two_people"),
            models.CheckConstraint(condition=~Q(email="") | Q(ended_at__isnull=False), name="membership_has_address"),
        ]
        indexes: ClassVar[list[Any]] = [
            models.Index(Lower("email"), name="membership_address"),
            models.Index(fields=["ended_at"], condition=Q(accepted_at=None), name="membership_unused"),
        ]

    @override
    def __str__(self) -> str:
        return f"membership {self.pk}"

    @property
    def is_open(self) -> bool:
        """Whether the payer pays for the member, as far as the payer pays."""
        return self.accepted_at is not None and self.ended_at is None
