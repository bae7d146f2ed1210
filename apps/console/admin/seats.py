"""Who sits where, and who waits for a seat. Seats move through instances.allocation only."""

from typing import Any, ClassVar, override

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.widgets import UnfoldAdminSelectWidget

from apps.access import reconcile
from apps.console.admin.instance_provisioning import AccountFields
from apps.console.admin.subscriber_page import explain_due_seat
from apps.console.base import ConsoleAdmin
from apps.console.columns import address, link_column, person_column, seat_until, state_column, time_column
from apps.console.dialogs import ConfirmedDialog, dialog_action
from apps.console.filters import NameFilter
from apps.console.saved_views import SavedView
from apps.core.errors import BadInput
from apps.instances import allocation
from apps.instances.capacity import COMING_FREE_DAYS, coming_free
from apps.instances.models import Instance, Seat, SeatWait

State = Seat.State


def room_label(instance: Instance) -> str:
    """An instance as a choice: its name, what is free, and why it may not be the right one."""
    free = instance.hard_cap - instance.allocated_seats
    if not instance.is_active:
        return f"{instance.name}, not in use"
    if free <= 0:
        return f"{instance.name}, full: {instance.allocated_seats} of {instance.hard_cap} taken"
    notes = [
        *(["above its allocation cap"] if instance.allocated_seats >= instance.allocation_cap else []),
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
    def context(self) -> dict[str, Any]:
        field: Any = self.fields["instance"]
        return {"alone": len(field.widget.choices) < 2}


class ReleaseDialog(ConfirmedDialog):
    """Gives the seat back to the product; says so if the reconciler would only give it again."""

    model = Seat
    form_before_template = "console/dialogs/release.html"

    @override
    def context(self) -> dict[str, Any]:
        return {"refusal": explain_due_seat(self.target)}


def refuse_released(seat: Seat) -> str:
    return "A released seat cannot be moved or released again." if seat.state == State.RELEASED else ""


@admin.register(Seat)
class SeatAdmin(AccountFields, ConsoleAdmin):
    list_display = ("seat", "person", "product_link", "instance_link", "state_label", "until", "changed")
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("product", NameFilter),
        ("instance", NameFilter),
    )
    list_select_related = ("profile__user", "product", "instance")
    views = (
        SavedView(
            "coming_free",
            f"Coming free within {COMING_FREE_DAYS} days",
            coming_free,
            order=("profile__final_expiry_at", "pk"),
            is_tab=False,
        ),
    )
    tabs = ("state", (State.RESERVED, State.ASSIGNED, State.RETAINED, State.RELEASED))
    search_by: ClassVar[dict[str, str]] = {"people": "profile", "number": "pk"}
    search_help_text = "Username, email or cus_…"
    actions_detail: ClassVar[Any] = ["check_account", "move", "release"]
    fields = (
        "person",
        ("product_link", "instance_link"),
        "state_label",
        "until",
        ("created", "changed", "ended"),
        ("product_account", "storage", "account_read", "account_ends"),
    )

    person = person_column()
    product_link = link_column("product", "Product")
    instance_link = link_column("instance", "Instance")
    state_label = state_column()
    created = time_column("created_at", "Since")
    changed = time_column("changed_at", "Changed")
    ended = time_column("released_at", "Released")

    @admin.display(description="Seat", ordering="pk")
    def seat(self, row: Seat) -> str:
        return f"seat {row.pk}"

    @admin.display(description="Until", ordering="reserved_until")
    def until(self, row: Seat) -> str:
        return seat_until(row)

    @override
    def page_of(self, target: Model | None) -> str:
        """The subscriber's page: there are the seats, and the line about what was done."""
        return address(target.profile) if isinstance(target, Seat) else super().page_of(target)

    @dialog_action(
        title="Move seat", permission="allocate_seat", form=MoveDialog, icon="move_down", danger=True,
        refuse=refuse_released,
    )  # fmt: skip
    def move(self, _request: HttpRequest, form: MoveDialog) -> str:
        """Move it, then let the reconciler take the groups along."""
        profile = form.target.profile
        moved = allocation.move(seat=form.target, instance=form.cleaned_data["instance"], **form.why)
        reconcile.enqueue(profile, reason=f"seat moved by {form.actor}")
        return f"{profile} sits on {moved.instance} now. The data on {form.target.instance} was not moved."

    @dialog_action(
        title="Release seat", permission="allocate_seat", form=ReleaseDialog, icon="event_busy", danger=True,
        refuse=refuse_released,
    )  # fmt: skip
    def release(self, _request: HttpRequest, form: ReleaseDialog) -> str:
        """Give it back, unless it is due: then the reconciler would only give it again."""
        seat, profile = form.target, form.target.profile
        if refusal := explain_due_seat(seat):
            raise BadInput(refusal)
        allocation.release_by_staff(seat=seat, **form.why)
        reconcile.enqueue(profile, reason=f"seat released by {form.actor}")
        return f"The seat of {profile} on {seat.instance} is released."


@admin.register(SeatWait)
class SeatWaitAdmin(ConsoleAdmin):
    """Who has paid and has no seat; the longest waiting first."""

    few = True
    list_display = ("wait", "person", "product_link", "waiting")
    list_filter = (("product", NameFilter),)
    list_select_related = ("profile__user", "product")
    ordering = ("since", "pk")
    search_by: ClassVar[dict[str, str]] = {"people": "profile"}
    search_help_text = "Username, email or cus_…"
    fields = ("person", "product_link", "waiting")

    person = person_column()
    product_link = link_column("product", "Product")
    waiting = time_column("since", "Waiting since")

    @admin.display(description="Position", ordering="since")
    def wait(self, row: SeatWait) -> str:
        return f"wait {row.pk}"
