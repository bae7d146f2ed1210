"""Who sits where, and who waits for a seat. Seats move through instances.allocation only."""

from typing import Any, ClassVar, override

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.widgets import (
    UnfoldAdminSelectWidget,
)

from apps.access import reconcile
from apps.console.base import ConsoleAdmin
from apps.console.columns import (
    link_column,
    person_column,
    seat_badge,
    time_column,
)
from apps.console.dialogs import ConfirmedDialog, dialog_action
from apps.core.errors import BadInput
from apps.instances import allocation
from apps.instances.models import Instance, Seat, SeatWait

CAPS = ("soft_cap", "allocation_cap", "hard_cap")


class MoveDialog(ConfirmedDialog):
    """Another instance of the same product."""

    model = Seat
    instance = forms.ModelChoiceField(
        Instance.objects.none(),
        widget=UnfoldAdminSelectWidget,
        help_text="The data on the old instance is not moved.",
    )

    @override
    def prepare(self) -> None:
        super().prepare()
        others = Instance.objects.filter(product=self.target.product_id, is_active=True).exclude(
            pk=self.target.instance_id
        )
        field: Any = self.fields["instance"]
        field.queryset = others
        field.label_from_instance = lambda row: f"{row.name}: {row.allocated_seats} of {row.hard_cap} seats"


@admin.register(Seat)
class SeatAdmin(ConsoleAdmin):
    """Who sits where."""

    list_display = (
        "seat",
        "person",
        "product_link",
        "instance_link",
        "state_label",
        "held",
        "changed",
    )
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("product", RelatedDropdownFilter),
        ("instance", RelatedDropdownFilter),
    )
    list_select_related = ("profile__user", "product", "instance")
    search_by: ClassVar[dict[str, str]] = {"people": "profile", "number": "pk"}
    search_help_text = "Username, address or cus_…"
    actions_detail: ClassVar[Any] = ["move"]
    fields = (
        "person",
        ("product_link", "instance_link"),
        "state_label",
        "held",
        ("created", "changed", "ended"),
    )

    person = person_column()
    product_link = link_column("product", "Product")
    instance_link = link_column("instance", "Instance")
    held = time_column("held_until", "Held until")
    created = time_column("created_at", "Since")
    changed = time_column("changed_at", "Changed")
    ended = time_column("released_at", "Released")

    @admin.display(description="State", ordering="state")
    def state_label(self, row: Seat) -> SafeString:
        """held, assigned, retained or released."""
        return seat_badge(row)

    @admin.display(description="Seat", ordering="pk")
    def seat(self, row: Seat) -> str:
        """Its number."""
        return f"seat {row.pk}"

    @dialog_action(
        title="Move seat",
        permission="allocate_seat",
        form=MoveDialog,
        icon="move_down",
        danger=True,
    )
    def move(self, _request: HttpRequest, form: MoveDialog) -> str:
        """Move it, then let the reconciler take the groups along."""
        data, profile = form.cleaned_data, form.target.profile
        if form.target.state == Seat.State.RELEASED:
            raise BadInput("A released seat cannot be moved.")
        moved = allocation.move(seat=form.target, instance=data["instance"], actor=form.actor, reason=data["reason"])
        reconcile.enqueue(profile, reason=f"seat moved by {form.actor}")
        return f"{profile} sits on {moved.instance} now."

    @override
    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        """Nothing can be done to a released seat."""
        found = super().get_actions_detail(request, object_id)
        live = (
            Seat.objects.exclude(state=Seat.State.RELEASED).filter(pk=object_id) if str(object_id).isdigit() else None
        )
        return found if live is not None and live.exists() else []


@admin.register(SeatWait)
class SeatWaitAdmin(ConsoleAdmin):
    """Who has paid and has no seat; the longest waiting first."""

    list_display = ("wait", "person", "product_link", "waiting")
    list_filter = (("product", RelatedDropdownFilter),)
    list_select_related = ("profile__user", "product")
    ordering = ("since", "pk")
    search_by: ClassVar[dict[str, str]] = {"people": "profile"}
    search_help_text = "Username, address or cus_…"
    fields = ("person", "product_link", "waiting")

    person = person_column()
    product_link = link_column("product", "Product")
    waiting = time_column("since", "Waiting since")

    @admin.display(description="Place", ordering="since")
    def wait(self, row: SeatWait) -> str:
        """Its number."""
        return f"wait {row.pk}"
