"""Who waits for a product that is full, who is next, and inviting them."""

from dataclasses import dataclass
from typing import Any, ClassVar, override

from django.contrib import admin
from django.db.models import Count, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter

from apps.catalog.models import Product
from apps.console.base import ConsoleAdmin
from apps.console.columns import link_column, state_column, time_column, when
from apps.console.dialogs import ReasonDialog, dialog_action
from apps.core import clock
from apps.instances import capacity
from apps.onboarding import waitlist
from apps.onboarding.models import WaitlistEntry


class InviteDialog(ReasonDialog):
    """Says whom, for what, and whether there is room."""

    model = WaitlistEntry
    form_before_template = "console/dialogs/invite.html"

    @override
    def get_before_template_context(self, request: HttpRequest, object_id: str | None = None) -> dict[str, Any]:
        """The entry, how many wait before it, and whether its product has room."""
        entry = self.target
        before = Q(created_at__lt=entry.created_at) | Q(created_at=entry.created_at, pk__lt=entry.pk)
        return {
            "entry": entry,
            "before": waiting().filter(before, product=entry.product_id).count(),
            "room": all(capacity.have_room(needed_seats(entry.product)).values()),
        }


def waiting() -> QuerySet[Any]:
    """Everybody in a line: waiting, with a proven mailbox."""
    found: QuerySet[Any] = WaitlistEntry._default_manager.filter(state="waiting", confirmed_at__isnull=False)
    return found


@admin.register(WaitlistEntry)
class WaitlistAdmin(ConsoleAdmin):
    """The line, the longest waiting first; inviting holds the seat."""

    list_display = ("email", "product_link", "state_label", "place", "joined", "confirmed", "invited")
    list_filter = (("state", ChoicesDropdownFilter), ("product", RelatedDropdownFilter))
    list_select_related = ("product",)
    list_before_template = "console/waitlist.html"
    ordering = ("created_at", "pk")
    search_by: ClassVar[dict[str, str]] = {"email": "email__iexact", "uuid": "pk"}
    search_help_text = "Address"
    actions_detail: ClassVar[Any] = ["invite"]
    fields = (
        "email",
        "product_link",
        ("state_label", "place"),
        ("joined", "confirmed", "invited"),
        "until",
    )

    product_link = link_column("product", "Waits for")
    state_label = state_column()
    joined = time_column("created_at", "Joined")
    confirmed = time_column("confirmed_at", "Confirmed")
    invited = time_column("invited_at", "Invited")

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With each one's place in its line."""
        before = Q(created_at__lt=OuterRef("created_at")) | Q(created_at=OuterRef("created_at"), pk__lt=OuterRef("pk"))
        same = waiting().annotate(line=Coalesce("product_id", 0)).filter(line=Coalesce(OuterRef("product_id"), 0))
        ahead = same.filter(before).order_by().values("state").annotate(count=Count("pk")).values("count")
        rows: QuerySet[Any] = (
            super().get_queryset(request).annotate(ahead=Coalesce(Subquery(ahead, output_field=IntegerField()), 0))
        )
        return rows

    @admin.display(description="Place")
    def place(self, row: Any) -> str:
        """1 is next; only who waits with a proven mailbox has one."""
        if row.state != "waiting":
            return "–"
        return str(row.ahead + 1) if row.confirmed_at else "not confirmed"

    @admin.display(description="Held until")
    def until(self, row: Any) -> str:
        """The end of the invitation."""
        return when(row.invited_until)

    @override
    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """With who is next, above the list."""
        shown = (extra_context or {}) | ({"lines": lines()} if self.has_view_permission(request) else {})
        answer: HttpResponse = super().changelist_view(request, shown)
        return answer

    @override
    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        """Only who waits, or was invited in vain, can be invited."""
        row = self.get_object(request, str(object_id))
        return super().get_actions_detail(request, object_id) if row and can_be_invited(row) else []

    @dialog_action(
        title="Invite", permission="allocate_seat", form=InviteDialog, icon="mark_email_read",
        explain="Holds the seat for this address and mails the invitation.",
    )  # fmt: skip
    def invite(self, _request: HttpRequest, form: InviteDialog) -> str:
        until = waitlist.invite(form.target.pk, actor=form.actor, reason=form.cleaned_data["reason"])
        held = f" The seat is held until {when(until)}." if form.target.product else ""
        return f"{form.target.email} is invited.{held}"


def can_be_invited(entry: Any) -> bool:
    """Waiting with a proven mailbox, or invited before and too late."""
    over = entry.state == "invited" and entry.invited_until <= clock.now()
    return bool(over or (entry.state == "waiting" and entry.confirmed_at))


@dataclass(frozen=True)
class WaitlistQueue:
    """A product people wait for: how many, who is next, and whether there is room for one."""

    name: str
    count: int
    first: Any
    room: bool


def lines() -> list[WaitlistQueue]:
    """Every queue with somebody in it, in the order of the catalog; a handful of queries, however long they are."""
    firsts = waiting().order_by("product_id", "created_at", "pk").distinct("product_id").select_related("product")
    found = list(firsts.prefetch_related("product__includes"))
    counts = dict(waiting().order_by().values_list("product").annotate(Count("pk")))
    rooms = capacity.have_room(list({one.pk: one for entry in found for one in needed_seats(entry.product)}.values()))
    return [
        WaitlistQueue(
            name=entry.product.name if entry.product else "Anything",
            count=counts[entry.product_id],
            first=entry,
            room=all(rooms[one.pk] for one in needed_seats(entry.product)),
        )
        for entry in sorted(found, key=lambda entry: entry.product.position if entry.product else 0)
    ]


def needed_seats(product: Product | None) -> list[Product]:
    """The products a buyer needs a seat on; none for the general list."""
    return product.seats() if product else []
