"""When a system that we call did not answer. Written by core/outages.py, read by the console."""

from typing import Any, ClassVar, override

from django.db import models
from django.db.models import F, Q


class Outage(models.Model):
    """One time in which a system did not answer, and what waited for it until it did."""

    peer = models.CharField(max_length=32, help_text="The system.")
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=300, help_text="How it was noticed.")
    waited = models.JSONField(default=dict, help_text="How many jobs of each kind waited when it answered again.")

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                fields=["peer"], condition=Q(ended_at__isnull=True), name="outage_one_open_per_peer"
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=F("began_at")), name="outage_in_order"
            ),
        ]
        indexes: ClassVar[list[Any]] = [models.Index(fields=["peer", "-id"], name="outage_peer")]

    @override
    def __str__(self) -> str:
        return f"outage {self.pk}"
