"""The customer API as rows: the keys of other systems, and which customers have changed."""

from typing import Any, ClassVar, override

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from apps.accounts.models import UserProfile


class CustomerApiKey(models.Model):
    """A key of another system. Only api/keys.py writes it; the key itself is shown once and kept nowhere."""

    class Scope(models.TextChoices):
        READ = "customers:read", "Access, plans, seats and dates, by number"
        PERSONAL = "customers:personal", "Names and addresses, and finding customers by address"

    name = models.CharField(max_length=80, help_text="Which system uses it.")
    prefix = models.CharField(max_length=8, unique=True, help_text="Its first letters, which tell it from others.")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the whole key.")
    scopes = ArrayField(models.CharField(max_length=24, choices=Scope))
    networks = ArrayField(
        models.CharField(max_length=43),
        default=list,
        blank=True,
        help_text="From where it may be used; empty: anywhere.",
    )
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=150)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="To a minute.")
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.CharField(max_length=150, blank=True)

    class Meta:
        verbose_name = "API key"
        constraints: ClassVar[list[Any]] = [
            models.CheckConstraint(
                condition=~Q(name="") & ~Q(prefix="") & ~Q(created_by=""), name="api_key_has_name_and_maker"
            ),
            models.CheckConstraint(condition=Q(digest__regex="^[0-9a-f]{64}$"), name="api_key_digest_is_one"),
            models.CheckConstraint(condition=Q(scopes__len__gt=0), name="api_key_may_something"),
            models.CheckConstraint(condition=Q(expires_at__gt=F("created_at")), name="api_key_expires_later"),
            models.CheckConstraint(
                condition=Q(revoked_at__isnull=True, revoked_by="") | Q(revoked_at__isnull=False) & ~Q(revoked_by=""),
                name="api_key_revoked_by_somebody",
            ),
        ]

    @override
    def __str__(self) -> str:
        return f"API key {self.prefix}"


class CustomerChange(models.Model):
    """One transaction that changed what the API says of one customer. Triggers write it; api/changes.py numbers it.

    It outlives its customer, so that other systems learn that one is gone.
    """

    profile = models.ForeignKey(
        UserProfile, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    transaction = models.BigIntegerField(help_text="Of Postgres; one row for each customer that it changed.")
    number = models.BigIntegerField(
        null=True, blank=True, help_text="In the order in which changes could be seen; empty: not given yet."
    )
    at = models.DateTimeField(null=True, blank=True, help_text="When the number was given.")

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["number"], name="customer_change_number"),
            models.UniqueConstraint(
                fields=["profile", "transaction"], condition=Q(number=None), name="customer_change_once"
            ),
            models.CheckConstraint(
                condition=Q(number=None, at=None) | Q(number__isnull=False, at__isnull=False),
                name="customer_change_numbered_then",
            ),
        ]
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["id"], condition=Q(number=None), name="customer_change_new"),
            models.Index(fields=["profile"], name="customer_change_profile"),
        ]

    @override
    def __str__(self) -> str:
        return f"change {self.pk}"
