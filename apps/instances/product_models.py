"""How products are told what people have: where each instance takes orders, and each account that we keep there.

Only provisioning/connections.py writes the first and provisioning/accounts.py the second.
"""

from typing import Any, ClassVar, override

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q

from apps.accounts.models import UserProfile
from apps.core.choices import ToneChoices
from apps.core.states import Tone


class Provisioning(models.Model):
    """How we reach the product on one instance. What we log in with is in the environment: PROVISIONER_SECRETS."""

    instance = models.OneToOneField("instances.Instance", on_delete=models.CASCADE, related_name="provisioning")
    kind = models.CharField(max_length=40, help_text="The name of the provisioner.")
    address = models.URLField(help_text="Where its interface is.")
    host = models.CharField(
        max_length=200,
        default="",
        db_default="",
        editable=False,
        help_text="The address in the one form that tells two products apart.",
    )
    server_id = models.CharField(
        max_length=100,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="What tells the server from all others, whatever it is called; empty: nothing does, or not read yet.",
    )
    login = models.CharField(max_length=80, help_text="The name of our account there.")
    group = models.CharField(max_length=80, blank=True, help_text="The product's group for our people; empty: none.")
    quota_grant = models.CharField(
        max_length=80, blank=True, help_text="The number that is the quota, e.g. storage_gb; empty: we set no quota."
    )
    keep_days = models.PositiveSmallIntegerField(
        default=30,
        validators=[MaxValueValidator(3650)],
        help_text="How long an account without a seat is kept before it is deleted with its data.",
    )

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["host"], condition=~Q(host=""), name="provisioning_one_per_host"),
            models.UniqueConstraint(
                fields=["kind", "server_id"], condition=~Q(server_id=""), name="provisioning_one_per_server"
            ),
        ]

    @override
    def __str__(self) -> str:
        return f"{self.kind} on instance {self.instance_id}"


class ProductAccount(models.Model):
    """One subscriber's account in the product on one instance: what it should be, and what it was when last read."""

    class State(ToneChoices):
        """What it should be. `leaving`: suspended, and deleted at `delete_at`."""

        OPEN = "open", Tone.GOOD, "Open"
        SUSPENDED = "suspended", Tone.WARN, "Suspended"
        LEAVING = "leaving", Tone.WARN, "Suspended, to be deleted"
        DELETED = "deleted", Tone.CALM, "Deleted"

        @property
        def in_words(self) -> str:
            """After "should be"."""
            return "suspended" if self == "leaving" else self.value

    profile = models.ForeignKey(UserProfile, on_delete=models.PROTECT, related_name="+", db_index=False)
    instance = models.ForeignKey(
        "instances.Instance", on_delete=models.PROTECT, related_name="product_accounts", db_index=False
    )
    user_id = models.CharField(max_length=64, help_text="Its id in the product: the Keycloak id.")
    state = models.CharField(max_length=9, choices=State)
    quota = models.BigIntegerField(null=True, help_text="Bytes it should have; empty: not ours to set.")
    delete_at = models.DateTimeField(null=True, blank=True)
    tried_at = models.DateTimeField(null=True, help_text="When its deletion was last looked into.")
    synced_at = models.DateTimeField(null=True, help_text="When it was last found to be as it should.")
    exists = models.BooleanField(null=True, help_text="Whether the product had it when last read; empty: never read.")
    enabled = models.BooleanField(null=True)
    quota_found = models.BigIntegerField(null=True, help_text="Bytes it has; empty: no limit, or unknown.")
    used = models.BigIntegerField(null=True, help_text="Bytes in use; empty: unknown.")
    read_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                fields=["profile", "instance"],
                condition=~Q(state__in=["leaving", "deleted"]),
                name="product_account_one_live_per_instance",
            ),
            models.UniqueConstraint(fields=["instance", "user_id"], name="product_account_one_per_user_id"),
            models.CheckConstraint(
                condition=Q(state="leaving", delete_at__isnull=False) | Q(~Q(state="leaving"), delete_at__isnull=True),
                name="product_account_leaving_has_an_end",
            ),
            models.CheckConstraint(
                condition=Q(quota__isnull=True) | Q(quota__gte=0), name="product_account_quota_positive"
            ),
        ]
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["profile"], name="product_account_profile"),
            models.Index(fields=["instance", "read_at"], condition=~Q(state="deleted"), name="product_account_read_at"),
            models.Index(fields=["delete_at"], condition=Q(state="leaving"), name="product_account_delete_at"),
        ]

    @override
    def __str__(self) -> str:
        return f"account {self.pk}"
