"""The dialogs of a seat: where it may go, and what giving it up means. They say so before they ask."""

from typing import Any, override

from django import forms
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminSelectWidget

from apps.console import person
from apps.console.columns import seat_badge
from apps.console.dialogs import ConfirmedDialog
from apps.instances.models import Instance, Seat


def room_label(instance: Instance) -> str:
    """An instance as a choice: its name, what is free, and why it may not be the right one."""
    free = instance.hard_cap - instance.allocated_seats
    if not instance.is_active:
        return f"{instance.name}, not in use"
    if free <= 0:
        return f"{instance.name}, full: {instance.allocated_seats} of {instance.hard_cap} taken"
    reserve = instance.allocated_seats >= instance.allocation_cap
    notes = [
        *(["above its allocation cap"] if reserve else []),
        *([] if instance.auto_allocate else ["closed to new people"]),
    ]
    return ", ".join([f"{instance.name}, {free} of {instance.hard_cap} free", *notes])


class MoveDialog(ConfirmedDialog):
    """Another instance of the same product. One that is full or not in use is named, and refused by the domain."""

    model = Seat
    form_before_template = "console/dialogs/move.html"
    instance = forms.ModelChoiceField(
        Instance.objects.none(),
        label="Move to",
        widget=UnfoldAdminSelectWidget,
        help_text="Staff may fill an instance up to its hard cap.",
    )

    @override
    def prepare(self) -> None:
        super().prepare()
        field: Any = self.fields["instance"]
        field.queryset = Instance.objects.filter(product=self.target.product_id)
        others = [row for row in field.queryset if row.pk != self.target.instance_id]
        # Where it is now is no choice; sent once more, it is still refused with the sentence that says so.
        others.sort(key=lambda row: (not row.is_active, row.allocated_seats >= row.hard_cap))
        field.widget.choices = [("", "Choose an instance"), *((row.pk, room_label(row)) for row in others)]

    @override
    def get_before_template_context(self, request: HttpRequest, object_id: str | None = None) -> dict[str, Any]:
        """The seat, and whether there is anywhere to go."""
        field: Any = self.fields["instance"]
        return {"seat": self.target, "state": seat_badge(self.target), "alone": len(field.widget.choices) < 2}


class ReleaseDialog(ConfirmedDialog):
    """Gives the seat back to the product."""

    model = Seat
    form_before_template = "console/dialogs/release.html"

    @override
    def get_before_template_context(self, request: HttpRequest, object_id: str | None = None) -> dict[str, Any]:
        """The seat, and why it may not be given up if so."""
        return {"seat": self.target, "state": seat_badge(self.target), "refusal": person.seat_is_due(self.target)}
