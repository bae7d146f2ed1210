"""Who sits where, and who waits for a seat. Seats move through instances.allocation only."""

from typing import Any, ClassVar, override

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter

from apps.access import reconcile
from apps.console import person
from apps.console.admin.seat_dialogs import MoveDialog, ReleaseDialog
from apps.console.base import ConsoleAdmin
from apps.console.columns import (
    address,
    link_column,
    person_column,
    seat_badge,
    seat_until,
    time_column,
)
from apps.console.dialogs import dialog_action
from apps.core.errors import BadInput
from apps.instances import allocation
from apps.instances.models import Seat, SeatWait


@admin.register(Seat)
class SeatAdmin(ConsoleAdmin):
    list_display = (
        "seat",
        "person",
        "product_link",
        "instance_link",
        "state_label",
        "until",
        "changed",
    )
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("product", RelatedDropdownFilter),
        ("instance", RelatedDropdownFilter),
    )
    list_select_related = ("profile__user", "product", "instance")
    search_by: ClassVar[dict[str, str]] = {"people": "profile", "number": "pk"}
    search_help_text = "Username, email or cus_…"
    actions_detail: ClassVar[Any] = ["move", "release"]
    fields = (
        "person",
        ("product_link", "instance_link"),
        "state_label",
        "until",
        ("created", "changed", "ended"),
    )

    person = person_column()
    product_link = link_column("product", "Product")
    instance_link = link_column("instance", "Instance")
    created = time_column("created_at", "Since")
    changed = time_column("changed_at", "Changed")
    ended = time_column("released_at", "Released")

    @admin.display(description="State", ordering="state")
    def state_label(self, row: Seat) -> SafeString:
        """held, assigned, retained or released."""
        return seat_badge(row)

    @admin.display(description="Seat", ordering="pk")
    def seat(self, row: Seat) -> str:
        return f"seat {row.pk}"

    @admin.display(description="Until", ordering="reserved_until")
    def until(self, row: Seat) -> str:
        """Held: until the payment ends. Retained: until the final date of who canceled."""
        return seat_until(row)

    @override
    def page_of(self, target: Model | None) -> str:
        """The subscriber's page: there are the seats, and the line about what was done."""
        return address(target.profile) if isinstance(target, Seat) else super().page_of(target)

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
        return f"{profile} sits on {moved.instance} now. The data on {form.target.instance} was not moved."

    @dialog_action(
        title="Release seat",
        permission="allocate_seat",
        form=ReleaseDialog,
        icon="event_busy",
        danger=True,
    )
    def release(self, _request: HttpRequest, form: ReleaseDialog) -> str:
        """Give it back, unless it is due: then the reconciler would only give it again."""
        seat, profile = form.target, form.target.profile
        if refusal := person.seat_is_due(seat):
            raise BadInput(refusal)
        allocation.release_by_staff(seat=seat, actor=form.actor, reason=form.cleaned_data["reason"])
        reconcile.enqueue(profile, reason=f"seat released by {form.actor}")
        return f"The seat of {profile} on {seat.instance} is released."

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
    search_help_text = "Username, email or cus_…"
    fields = ("person", "product_link", "waiting")

    person = person_column()
    product_link = link_column("product", "Product")
    waiting = time_column("since", "Waiting since")

    @admin.display(description="Place", ordering="since")
    def wait(self, row: SeatWait) -> str:
        return f"wait {row.pk}"
