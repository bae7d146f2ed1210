"""The copy of their data that a subscriber has asked for, until it expires."""

from typing import Any, ClassVar, override

from django.db import models
from django.db.models import F, Q

from apps.accounts.models import UserProfile


class DataCopy(models.Model):
    """One for each person who has asked; asking again replaces it. Only own_copy.py writes it."""

    profile = models.OneToOneField(UserProfile, primary_key=True, on_delete=models.CASCADE, related_name="data_copy")
    requested_at = models.DateTimeField()
    ready_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    encrypted = models.TextField(blank=True, help_text="The copy, so that the table alone tells nothing.")

    class Meta:
        verbose_name_plural = "data copies"
        constraints: ClassVar[list[Any]] = [
            models.CheckConstraint(
                condition=Q(ready_at__isnull=True, expires_at__isnull=True, encrypted="")
                | Q(ready_at__isnull=False, expires_at__isnull=False, expires_at__gt=F("ready_at")) & ~Q(encrypted=""),
                name="data_copy_ready_expires",
            )
        ]

    @override
    def __str__(self) -> str:
        return f"copy for {self.profile_id}"
