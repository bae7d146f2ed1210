"""Seat plans as rows: which seats staff want on other instances, and the answer of each person. Only seat_plans.py writes them."""

from typing import Any, ClassVar, override

from django.db import models
from django.db.models import Q

from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.core.choices import ToneChoices
from apps.core.states import Tone
from apps.instances.models import Instance, Seat


def instance_key(**options: Any) -> Any:
    """A reference to an instance that takes no lock on it: one would wait for allocations, and they for the plan's other rows.

    Instances are never deleted.
    """
    return models.ForeignKey(Instance, on_delete=models.PROTECT, related_name="+", db_constraint=False, **options)


class SeatPlan(models.Model):
    """Seats of one product that are to move: all of an instance, or some to even out the load."""

    class Kind(models.TextChoices):
        DRAIN = "drain", "Drain"
        REBALANCE = "rebalance", "Rebalance"

    class State(ToneChoices):
        """While it is paused nobody is asked or moved; answers are taken."""

        OPEN = "open", Tone.BUSY, "Open"
        PAUSED = "paused", Tone.WARN, "Paused"
        ENDED = "ended", Tone.CALM, "Ended"

    LIVE = (State.OPEN, State.PAUSED)

    kind = models.CharField(max_length=10, choices=Kind)
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="+")
    instance = instance_key(null=True, blank=True, help_text="The instance that is drained.")
    state = models.CharField(max_length=6, choices=State, default=State.OPEN)
    was_open = models.BooleanField(default=False, help_text="Whether the instance took new subscribers before.")
    actor = models.CharField(max_length=150)
    reason = models.CharField(max_length=300)
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "seat plan"
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                fields=["product"], condition=Q(state__in=["open", "paused"]), name="seat_plan_one_open_per_product"
            ),
            models.CheckConstraint(
                condition=Q(kind="drain", instance__isnull=False) | Q(kind="rebalance", instance__isnull=True),
                name="seat_plan_drains_an_instance",
            ),
            models.CheckConstraint(condition=~Q(reason="") & ~Q(actor=""), name="seat_plan_has_a_reason"),
            models.CheckConstraint(
                condition=Q(state="ended", ended_at__isnull=False) | (~Q(state="ended") & Q(ended_at__isnull=True)),
                name="seat_plan_ended_has_time",
            ),
        ]

    @override
    def __str__(self) -> str:
        return f"seat plan {self.pk}"

    @property
    def is_live(self) -> bool:
        return self.state in self.LIVE


class SeatMove(models.Model):
    """One seat of a plan: where it would go, why there, and what its person says. The database holds that nobody moves without a yes."""

    class State(ToneChoices):
        PLANNED = "planned", Tone.CALM, "Not asked yet"
        ASKED = "asked", Tone.BUSY, "Asked, no answer yet"
        AGREED = "agreed", Tone.BUSY, "Agreed, moves soon"
        DECLINED = "declined", Tone.WARN, "Declined"
        MOVED = "moved", Tone.GOOD, "Moved"
        BLOCKED = "blocked", Tone.BAD, "Could not be moved"
        UNDONE = "undone", Tone.CALM, "Moved back"
        UNPLACED = "unplaced", Tone.BAD, "No room"
        OBSOLETE = "obsolete", Tone.CALM, "No longer needed"

    class Answer(models.TextChoices):
        YES = "yes", "Yes"
        NO = "no", "No"

    ANSWERABLE = (State.PLANNED, State.ASKED, State.AGREED, State.DECLINED)
    WAITING = (*ANSWERABLE, State.BLOCKED, State.UNPLACED)  # not moved, and could still be
    TAKES_ROOM = (State.PLANNED, State.ASKED, State.AGREED, State.BLOCKED)  # where the seat would go

    plan = models.ForeignKey(SeatPlan, on_delete=models.CASCADE, related_name="moves")
    seat = models.ForeignKey(Seat, on_delete=models.CASCADE, related_name="+")
    profile = models.ForeignKey(UserProfile, on_delete=models.CASCADE, related_name="+")
    source = instance_key()
    target = instance_key(null=True, blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.PLANNED)
    why = models.CharField(max_length=300, help_text="Why there, or why nowhere.")
    asked_at = models.DateTimeField(null=True, blank=True)
    reminded_at = models.DateTimeField(null=True, blank=True)
    answer = models.CharField(max_length=3, choices=Answer, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)
    answered_by = models.CharField(max_length=150, blank=True, help_text="Who recorded the answer.")
    answer_reason = models.CharField(max_length=300, blank=True, help_text="How staff know the answer.")
    moved_at = models.DateTimeField(null=True, blank=True)
    problem = models.CharField(max_length=300, blank=True, help_text="Why it could not be moved.")

    class Meta:
        verbose_name = "seat move"
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["plan", "seat"], name="seat_move_once_per_seat"),
            models.CheckConstraint(
                condition=~Q(state__in=["agreed", "moved", "blocked", "undone"])
                | (Q(answer="yes", answered_at__isnull=False) & ~Q(answered_by="")),
                name="seat_move_only_after_a_yes",
            ),
            models.CheckConstraint(
                condition=Q(target__isnull=False) | Q(state__in=["unplaced", "obsolete"]), name="seat_move_has_a_target"
            ),
        ]
        indexes: ClassVar[list[Any]] = [models.Index(fields=["plan", "state", "id"], name="seat_move_plan")]

    @override
    def __str__(self) -> str:
        return f"move {self.pk}"
