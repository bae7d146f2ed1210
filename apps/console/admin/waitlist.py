"""Who waits for a product that is full, who is next, and inviting them."""

from typing import Any, ClassVar, override

from django.contrib import admin
from django.db.models import Case, Exists, F, IntegerField, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from apps.catalog.models import Product
from apps.console.admin.waitlist_invitations import InviteNextDialog, invite_planned
from apps.console.base import ConsoleAdmin
from apps.console.columns import email_column, link_column, state_column, time_column, timed, when
from apps.console.dialogs import ReasonDialog, dialog, dialog_action
from apps.console.filters import NameFilter
from apps.console.saved_views import COUNT_LIMIT, SavedView
from apps.core import clock
from apps.core.addresses import shown_email
from apps.core.counting import CountUpTo
from apps.instances import capacity
from apps.onboarding import invitations, waitlist
from apps.onboarding.models import WaitlistEntry

State = WaitlistEntry.State


def describe_invitation(entry: WaitlistEntry) -> dict[str, Any]:
    """How many wait longer, and whether the product has room."""
    before = Q(created_at__lt=entry.created_at) | Q(created_at=entry.created_at, pk__lt=entry.pk)
    return {
        "before": waiting().filter(before, product=entry.product_id).count(),
        "room": all(capacity.have_room(needed_seats(entry.product)).values()),
    }


def waiting() -> QuerySet[Any]:
    return waitlist.in_line(WaitlistEntry._default_manager.all())


def refuse_invitation(entry: WaitlistEntry) -> str:
    """Can be invited: those who wait with a proven mailbox, and those whose invitation has run out."""
    if entry.state == State.INVITED and entry.invited_until and entry.invited_until > clock.now():
        return f"This address is invited until {when(entry.invited_until)}."
    if entry.state == State.WAITING and not entry.confirmed_at:
        return "This address has not been confirmed yet."
    return "" if entry.state in {State.WAITING, State.INVITED} else "This address waits no longer."


@admin.register(WaitlistEntry)
class WaitlistAdmin(ConsoleAdmin):
    """The queues, the longest waiting first; inviting reserves the seat."""

    few = True
    list_display = ("address", "product_link", "state_label", "position", "joined", "confirmed", "invited")
    list_filter = (("state", ChoicesDropdownFilter), ("product", NameFilter))
    list_select_related = ("product",)
    views = (SavedView("in_line", "In line", waitlist.in_line),)
    list_before_template = "console/waitlist.html"
    ordering = ("created_at", "pk")
    personal = "waitlist"
    search_by: ClassVar[dict[str, str]] = {"email": "email__icontains", "text": "email__icontains", "uuid": "pk"}
    search_help_text = "Any part of an address"
    actions_list: ClassVar[Any] = ["invite_next"]
    actions_detail: ClassVar[Any] = ["invite", "withdraw_invitation"]
    fields = ("address", "product_link", ("state_label", "position"), ("joined", "confirmed", "invited"), "until")

    address = email_column()
    product_link = link_column("product", "Waits for")
    state_label = state_column()
    joined = time_column("created_at", "Joined")
    confirmed = time_column("confirmed_at", "Confirmed")
    invited = time_column("invited_at", "Invited")

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With each one's position in its queue."""
        before = Q(created_at__lt=OuterRef("created_at")) | Q(created_at=OuterRef("created_at"), pk__lt=OuterRef("pk"))
        ahead = waitlist.line_of(Coalesce(OuterRef("product_id"), 0)).filter(
            before, created_at__lte=OuterRef("created_at")
        )
        counted = Case(
            When(waitlist.IN_LINE, then=CountUpTo(ahead, COUNT_LIMIT)), default=0, output_field=IntegerField()
        )
        rows: QuerySet[Any] = super().get_queryset(request).annotate(ahead=counted)
        return rows

    @admin.display(description="Position")
    def position(self, row: Any) -> str:
        """1 is next; only who waits with a proven mailbox has one."""
        if row.state != "waiting":
            return "–"
        if not row.confirmed_at:
            return "not confirmed"
        return str(row.ahead + 1) if row.ahead < COUNT_LIMIT else f"after {COUNT_LIMIT:,}"

    @admin.display(description="Reserved until")
    def until(self, row: Any) -> SafeString:
        """The end of the invitation."""
        return timed(row.invited_until)

    @override
    def list_context(self, _request: HttpRequest) -> dict[str, Any]:
        """Who is next, above the list, and what became of those who were invited."""
        return {"lines": list_queues(), "conversions": invitations.CONVERSIONS.get()}

    @dialog_action(
        title="Invite", permission="allocate_seat", form=dialog(WaitlistEntry, "invite", describe_invitation),
        icon="mark_email_read", refuse=refuse_invitation,
        explain="Reserves the seat for this address and emails the invitation.",
    )  # fmt: skip
    def invite(self, _request: HttpRequest, form: ReasonDialog) -> str:
        until = waitlist.invite(form.target.pk, **form.why)
        held = f" The seat is reserved until {when(until)}." if form.target.product else ""
        return f"{shown_email(form.target.email)} is invited.{held}"

    @dialog_action(
        title="Invite the next", permission="allocate_seat", form=InviteNextDialog, icon="group_add", calls=True,
        explain="Reserves a seat for each of the plan and emails the invitations.",
    )  # fmt: skip
    def invite_next(self, _request: HttpRequest, form: InviteNextDialog) -> str:
        return invite_planned(form)

    @dialog_action(
        title="Withdraw invitation", permission="allocate_seat", form=dialog(WaitlistEntry, "withdraw"), icon="undo", danger=True,
        refuse=invitations.refuse_withdrawal,
    )  # fmt: skip
    def withdraw_invitation(self, _request: HttpRequest, form: ReasonDialog) -> str:
        entry = invitations.withdraw(form.target.pk, **form.why)
        return f"The invitation of {shown_email(entry.email)} is withdrawn; the address waits again."


def list_queues() -> QuerySet[Any]:
    """The first of every line, in the order of the catalog, with `count`, how many wait, and `room`, whether there is one for it."""
    of_products = Product.objects.annotate(first=Subquery(waitlist.line_of(OuterRef("pk")).values("pk")[:1])).values(
        "first"
    )
    firsts = of_products.order_by().union(waitlist.line_of(0).values("pk")[:1])
    same = waitlist.line_of(Coalesce(OuterRef("product_id"), 0))
    needed = Q(pk=OuterRef("product_id")) | Q(included_in=OuterRef("product_id"))
    full = capacity.with_free_seats(Product.objects.filter(needed, needs_instance=True)).filter(free=0)
    rows = WaitlistEntry.objects.filter(pk__in=firsts).select_related("product")
    rows = rows.annotate(count=CountUpTo(same, COUNT_LIMIT), room=~Exists(full))
    return rows.order_by(F("product__position").asc(nulls_first=True), "product_id")


def needed_seats(product: Product | None) -> list[Product]:
    """The products a buyer needs a seat on; none for the general list."""
    return product.seats() if product else []
