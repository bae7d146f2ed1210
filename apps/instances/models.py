"""Instances and seats. Only allocation.py writes seats and counters."""

from typing import Any, ClassVar, override

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q

from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.core.choices import ToneChoices
from apps.core.states import Tone
from apps.instances.product_models import ProductAccount as ProductAccount  # a file of their own: this one is long
from apps.instances.product_models import Provisioning as Provisioning
from apps.instances.webhook_models import WebhookDelivery as WebhookDelivery


class Instance(models.Model):
    """A deployment of a product. New subscribers come in below `soft_cap` first, then up to `allocation_cap`.

    Between `allocation_cap` and `hard_cap` only returning subscribers and staff moves; above `hard_cap` nobody.
    """

    class Notice(ToneChoices):
        """What its users are told until it is over; written by deployments.py."""

        MAINTENANCE = "maintenance", Tone.BUSY, "Maintenance"
        DISRUPTION = "disruption", Tone.BAD, "Disruption"

    slug = models.CharField(
        max_length=40,
        unique=True,
        validators=[RegexValidator(r"^[a-z0-9][a-z0-9-]*$", "Use lowercase letters, digits and hyphens.")],
    )
    name = models.CharField(max_length=80)
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="instances")
    url = models.URLField("address", help_text="Where its users go.")
    location = models.CharField(
        max_length=80, blank=True, default="", db_default="", help_text="Where its data lives, e.g. Falkenstein."
    )
    country = models.CharField(
        max_length=2, blank=True, default="", db_default="", help_text="Its country, as an ISO code of two letters."
    )
    notice = models.CharField(max_length=12, choices=Notice, blank=True, default="", db_default="", editable=False)
    notice_from = models.DateTimeField(null=True, blank=True, editable=False)
    notice_until = models.DateTimeField(null=True, blank=True, editable=False)
    soft_cap = models.PositiveIntegerField()
    allocation_cap = models.PositiveIntegerField()
    hard_cap = models.PositiveIntegerField()
    # Its live seats, and those of each state; only allocation.py writes them.
    allocated_seats = models.PositiveIntegerField(default=0, editable=False)
    reserved = models.PositiveIntegerField(default=0, editable=False)
    assigned = models.PositiveIntegerField(default=0, editable=False)
    retained = models.PositiveIntegerField(default=0, editable=False)
    over_cap_since = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Since a cap was lowered below its seats."
    )
    is_active = models.BooleanField("in use", default=True)
    auto_allocate = models.BooleanField(
        "open to new subscribers", default=True, help_text="New subscribers may be assigned here."
    )
    draining_since = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Since a seat plan is emptying it: nobody comes in."
    )
    group = models.OneToOneField(Group, on_delete=models.PROTECT, related_name="instance", editable=False)

    class Meta:
        ordering: ClassVar[list[str]] = ["product__position", "slug"]
        constraints: ClassVar[list[Any]] = [
            models.CheckConstraint(
                condition=Q(soft_cap__lt=F("allocation_cap")) & Q(allocation_cap__lt=F("hard_cap")),
                name="instance_caps_in_order",
            ),
            models.CheckConstraint(
                condition=Q(allocated_seats__lte=F("hard_cap")) | Q(over_cap_since__isnull=False),
                name="instance_within_hard_cap",
            ),
            models.CheckConstraint(
                condition=Q(draining_since__isnull=True) | Q(auto_allocate=False), name="instance_draining_is_closed"
            ),
            models.CheckConstraint(
                condition=Q(notice="", notice_from__isnull=True, notice_until__isnull=True)
                | ~Q(notice="")
                & Q(notice_from__isnull=False, notice_until__isnull=False, notice_until__gt=F("notice_from")),
                name="instance_notice_has_an_end",
            ),
        ]
        indexes: ClassVar[list[Any]] = [
            models.Index(
                fields=["product", "allocated_seats", "id"],
                condition=Q(is_active=True, auto_allocate=True),
                name="instance_least_allocated",
            )
        ]

    @override
    def __str__(self) -> str:
        return self.name

    @property
    def keycloak_group(self) -> str:
        """The path of its group in Keycloak, which is also the name of `group`."""
        return f"{settings.KEYCLOAK_PARENT_GROUP}/{self.slug}"


class Seat(models.Model):
    """One subscriber on one instance of one product."""

    class State(ToneChoices):
        """`reserved` until somebody has paid, `assigned` in use, `retained` while access is withheld, `released` is over."""

        RESERVED = "reserved", Tone.BUSY, "Reserved"
        ASSIGNED = "assigned", Tone.GOOD, "Assigned"
        RETAINED = "retained", Tone.WARN, "Retained"
        RELEASED = "released", Tone.CALM, "Released"

    profile = models.ForeignKey(UserProfile, on_delete=models.CASCADE, related_name="seats", db_index=False)
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="+")
    instance = models.ForeignKey(Instance, on_delete=models.PROTECT, related_name="seats", db_index=False)
    state = models.CharField(max_length=8, choices=State)
    reserved_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    released_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                fields=["profile", "product"],
                condition=~Q(state="released"),
                name="seat_one_live_per_profile_and_product",
            ),
            models.CheckConstraint(
                condition=Q(state="reserved", reserved_until__isnull=False)
                | Q(~Q(state="reserved"), reserved_until__isnull=True),
                name="seat_reserved_has_an_end",
            ),
            models.CheckConstraint(
                condition=Q(state="released", released_at__isnull=False)
                | Q(~Q(state="released"), released_at__isnull=True),
                name="seat_released_has_time",
            ),
        ]
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["state", "-id"], name="seat_state"),
            models.Index(fields=["instance", "-id"], name="seat_of_instance"),
            models.Index(fields=["profile", "-id"], name="seat_of_profile"),
            models.Index(fields=["reserved_until"], condition=Q(state="reserved"), name="seat_reserved_until"),
        ]

    @override
    def __str__(self) -> str:
        return f"{self.profile_id} on {self.instance_id}"


class SeatWait(models.Model):
    """A subscriber who has paid and has no seat because every instance is full. The longest wait gets the next seat."""

    profile = models.ForeignKey(UserProfile, on_delete=models.CASCADE, related_name="+")
    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="+")
    since = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["profile", "product"], name="seat_wait_one_per_profile_and_product")
        ]
        indexes: ClassVar[list[Any]] = [models.Index(fields=["since", "id"], name="seat_wait_longest")]

    @override
    def __str__(self) -> str:
        return f"{self.profile_id} waits for {self.product_id}"
